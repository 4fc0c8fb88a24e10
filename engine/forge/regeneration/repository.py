"""The Git repository that a project lives in: generated states, backups, and where they are kept.

`refs/webnova/generated/<key>` holds what the generator wrote, each state a commit whose parents are
the states before; its tree is exactly what the manifest in it says. `refs/webnova/backup/<key>/<n>`
holds what stood in the directory before each change. The key tells the projects of one repository
apart. Branches, the index and the stash are the person's own.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from engine.forge.generate import MANIFEST
from engine.forge.regeneration.files import OTHER, File
from engine.forge.regeneration.git import Git, index_line
from engine.forge.regeneration.manifest import entries_of
from engine.forge.regeneration.working import look
from engine.kernel.errors import Conflict, InvalidInput

BRANCH = "main"
_GENERATED, _BACKUP = "refs/webnova/generated", "refs/webnova/backup"
_MOST_HISTORY = 50_000
_MOST_AT_ONCE = 64 << 20


@dataclass(frozen=True)
class Repository:
    """`prefix` is the path of the project in the repository, empty or ending with `/`."""

    git: Git
    root: Path
    prefix: str
    state: Path

    @classmethod
    def find(cls, git: Git, root: Path) -> Repository | None:
        """The repository around `root`; None when there is none, or one that ignores `root`.

        Raises `InvalidInput` inside of a repository's own files.
        """
        git = git.at(root)
        inside = git.run("rev-parse", "--is-inside-work-tree", accept=(0, 128))
        if inside.returncode:
            return None
        if inside.stdout.strip() != b"true":
            raise InvalidInput(
                "The directory belongs to Git itself.", mend="Choose another directory."
            )
        prefix = git.text("rev-parse", "--show-prefix")
        if prefix:
            top = git.at(Path(git.text("rev-parse", "--show-toplevel")), GIT_LITERAL_PATHSPECS="0")
            asked = b"./" + os.fsencode(prefix.rstrip("/")) + b"\0"
            ignored = top.run("check-ignore", "-q", "-z", "--stdin", stdin=asked, accept=(0, 1))
            if ignored.returncode == 0:
                return None
        state = Path(git.text("rev-parse", "--absolute-git-dir")) / "webnova" / _key(prefix)
        return cls(git, root, prefix, state)

    @classmethod
    def create(cls, git: Git, root: Path) -> Repository:
        git.at(root).run("init", "--quiet", "--template=", "-b", BRANCH)
        made = cls.find(git, root)
        assert made is not None
        return made

    @property
    def key(self) -> str:
        return self.state.name

    @property
    def head(self) -> str | None:
        return self._resolved("HEAD")

    @property
    def generated(self) -> str | None:
        """The newest generated state."""
        return self._resolved(f"{_GENERATED}/{self.key}")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One at a time. The kernel gives the lock back when its holder dies."""
        self.state.mkdir(parents=True, exist_ok=True)
        with (self.state / "lock").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Conflict(
                    "Another generation is under way in this directory.",
                    mend="Wait until it is done.",
                ) from None
            yield

    def listed(self) -> list[str]:
        """The files that Git knows and those that it does not ignore, relative to the project."""
        arguments = ("ls-files", "-z", "--cached", "--others", "--exclude-standard")
        return [path.rstrip("/") for path in self.git.listed(*arguments)]

    def states(self) -> list[str]:
        """Every generated state of the repository, this project's first, the newest first."""
        own = self.generated
        refs = self.git.text("for-each-ref", "--format=%(objectname)", _GENERATED).split()
        found = self.git.text("rev-list", own).split() if own else []
        others = self.git.text("rev-list", *refs).split() if refs else []
        return list(dict.fromkeys([*found, *others]))

    def state_with(self, manifest: bytes) -> str | None:
        """The generated state that has exactly this manifest."""
        states = self.states()
        if not states:
            return None
        wanted = self.git.text("hash-object", "--no-filters", "--stdin", stdin=manifest)
        asked = "".join(f"{state}:{MANIFEST}\n" for state in states).encode()
        lines = self.git.text("cat-file", "--batch-check=%(objectname)", stdin=asked).splitlines()
        return next((s for s, line in zip(states, lines, strict=True) if line == wanted), None)

    def files(self, commit: str) -> dict[str, File]:
        """All files of a commit."""
        modes: dict[str, tuple[str, str]] = {}
        for part in self.git.listed("ls-tree", "-r", "-z", "--full-tree", commit):
            head, _, path = part.partition("\t")
            mode, _, id = head.split(" ")
            modes[path] = (mode, id)
        contents = self.git.read_objects(id for _, id in modes.values())
        return {
            path: File(content, mode)
            for (path, (mode, _)), content in zip(modes.items(), contents, strict=True)
            if content is not None
        }

    def contents(self, digests: Mapping[str, str]) -> dict[str, bytes]:
        """What is found of files, by path and SHA-256, in generated states and any commit."""
        found: dict[str, bytes] = {}
        for state in self.states():
            if found.keys() == digests.keys():
                return found
            [manifest] = self.git.read_objects([f"{state}:{MANIFEST}"])
            entries = entries_of(manifest) if manifest is not None else {}
            at = {entry.digest: path for path, entry in entries.items()}
            wanted = {path: at[digest] for path, digest in digests.items() if digest in at}
            wanted = {path: place for path, place in wanted.items() if path not in found}
            read = self.git.read_objects(f"{state}:{place}" for place in wanted.values())
            found |= {
                path: each for path, each in zip(wanted, read, strict=True) if each is not None
            }
        missing = {path: digest for path, digest in digests.items() if path not in found}
        return found | self._in_history(missing)

    def _in_history(self, digests: Mapping[str, str]) -> dict[str, bytes]:
        if not digests or self.git.run("rev-list", "--all", "-n1").stdout == b"":
            return {}
        paths = list(digests)
        output = self.git.text("rev-list", "--all", "--objects", "--", *paths)
        ids = [line.partition(" ")[0] for line in output.splitlines() if " " in line]
        wanted = {digest: path for path, digest in digests.items()}
        found: dict[str, bytes] = {}
        for content in self.git.read_objects(ids[:_MOST_HISTORY]):
            digest = hashlib.sha256(content).hexdigest() if content is not None else ""
            if content is not None and digest in wanted:
                found[wanted[digest]] = content
        same = {path: wanted.get(digest, path) for path, digest in digests.items()}
        return {path: found[place] for path, place in same.items() if place in found}

    def keep_generated(self, files: Mapping[str, File], base: str | None) -> str:
        """Store a generated state and let the ref hold it; the same state is kept once."""
        tree = self._tree(files)
        tip = self.generated
        arguments = ("rev-list", "--no-commit-header", "--format=%T %H")
        for line in self.git.text(*arguments, tip).splitlines() if tip else ():
            if line.startswith(f"{tree} "):
                return line.partition(" ")[2]
        before = list(dict.fromkeys(each for each in (base, tip) if each is not None))
        commit = self.git.commit(tree, _message(files), before)
        self.git.run("update-ref", f"{_GENERATED}/{self.key}", commit, tip or "")
        return commit

    def back_up(self, paths: Iterable[str], reason: str) -> str:
        """A commit on a ref of its own with the person's directory as it is now.

        Its parent is HEAD, and the rest of the repository is as there.
        """
        commit = self.commit_of(paths, reason, [self.head] if self.head else [])
        held = self.git.text("for-each-ref", "--format=%(refname)", f"{_BACKUP}/{self.key}")
        numbers = [int(name.rpartition("/")[2]) for name in held.split()]
        name = f"{_BACKUP}/{self.key}/{max(numbers, default=0) + 1}"
        self.git.run("update-ref", name, commit, "")
        return commit

    def commit_of(self, paths: Iterable[str], reason: str, above: Sequence[str]) -> str:
        """A commit with these files of the project, whatever they hold now."""
        wanted = sorted(paths)
        with self.git.at(self._top()).with_index() as git:
            if above:
                git.run("read-tree", above[0])
            kept = set(wanted)
            gone = [
                index_line("0", "0" * len(above[0]), path)
                for path in git.listed("ls-files", "-z")
                if path.startswith(self.prefix) and path[len(self.prefix) :] not in kept
            ]
            git.run("update-index", "-z", "--index-info", stdin=b"".join(gone))
            for part in self._in_parts(wanted):
                self._stage(git, {self.prefix + path: file for path, file in part.items()})
            tree = git.text("write-tree")
        return self.git.commit(tree, reason, above, f"{int(time.time())} +0000")

    def _in_parts(self, paths: Iterable[str]) -> Iterator[dict[str, File]]:
        """The files of these paths, no more at once than memory bears."""
        part: dict[str, File] = {}
        size = 0
        for path in paths:
            file = look(self.root, path)
            if file is None or file.mode == OTHER:
                continue
            part[path] = file
            size += len(file.content)
            if size > _MOST_AT_ONCE:
                yield part
                part, size = {}, 0
        yield part

    def begin_branch(self, commit: str) -> None:
        """Let the branch that has no commit yet begin with this one."""
        self.git.run("update-ref", "HEAD", commit)
        self.git.run("read-tree", commit)

    def announce(self, paths: Iterable[str]) -> None:
        """Let `git diff` show new files. One that is ignored, or an index in use, does not matter:
        the files are there either way."""
        asked = b"".join(os.fsencode(path) + b"\0" for path in sorted(paths))
        if asked:
            arguments = ("--pathspec-from-file=-", "--pathspec-file-nul")
            self.git.run("add", "-N", *arguments, stdin=asked, accept=range(256))

    def withdraw(self, paths: Sequence[str]) -> None:
        """Take back what `announce` told of files that are gone. What was staged or committed
        since stays in the index."""
        if not paths:
            return
        empty = self.git.text("hash-object", "--stdin")
        held = self.head and self.git.listed("ls-tree", "-z", "--name-only", "HEAD", "--", *paths)
        told = []
        for part in self.git.listed("ls-files", "-s", "-z", "--", *paths):
            head, _, path = part.partition("\t")
            if head.split(" ")[1] == empty and path not in (held or ()):
                told.append(path)
        asked = b"".join(os.fsencode(path) + b"\0" for path in told)
        arguments = ("update-index", "--force-remove", "-z", "--stdin")
        self.git.run(*arguments, stdin=asked, accept=range(256))

    def _tree(self, files: Mapping[str, File]) -> str:
        with self.git.at(self._top()).with_index() as git:
            self._stage(git, files)
            return git.text("write-tree")

    def _stage(self, git: Git, files: Mapping[str, File]) -> None:
        ids = git.write_blobs([file.content for file in files.values()])
        lines = [
            index_line(file.mode, id, path)
            for (path, file), id in zip(files.items(), ids, strict=True)
        ]
        git.run("update-index", "-z", "--index-info", stdin=b"".join(lines))

    def _top(self) -> Path:
        return self.root.joinpath(*[".."] * self.prefix.count("/"))

    def _resolved(self, name: str) -> str | None:
        arguments = ("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
        found = self.git.run(*arguments, accept=(0, 1)).stdout
        return found.decode().strip() or None


def _key(prefix: str) -> str:
    """A name for the project that may be part of a ref: `services/clinic` gives
    `services-clinic-` and eight digits of its digest."""
    if not prefix:
        return "root"
    words = re.sub(r"[^A-Za-z0-9]+", "-", prefix).strip("-")[:60]
    return f"{words or 'project'}-{hashlib.sha256(os.fsencode(prefix)).hexdigest()[:8]}"


def _message(files: Mapping[str, File]) -> str:
    manifest = json.loads(files[MANIFEST].content) if MANIFEST in files else {}
    target = manifest.get("target", {})
    made = " ".join(str(target[name]) for name in ("name", "version") if name in target)
    return f"Generate {manifest.get('platform', 'a project')}" + (f" with {made}" if made else "")
