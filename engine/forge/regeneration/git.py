"""Git as a program, told everything by argument and environment and nothing by anybody's settings.

No hook, filter, attribute, alias, file-system monitor, signing key, pager or network of the
person's takes part. The commits it makes have one author and one date, so that the same contents
give the same commits.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from engine.kernel.errors import Unavailable

OLDEST = (2, 38)
_TIMEOUT_SECONDS = 600
_SETTINGS = (
    "safe.directory=*",
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.untrackedCache=false",
    "core.autocrlf=false",
    "core.safecrlf=false",
    "core.quotePath=false",
    "core.attributesFile=/dev/null",
    "core.excludesFile=/dev/null",
    "core.precomposeUnicode=false",
    "commit.gpgSign=false",
    "gc.auto=0",
    "maintenance.auto=false",
)
_PATH = re.compile(r"/[^\s:'\"]+")
"""An absolute path: errors tell none."""
_WHO = "WebNova"
_MAIL = "generator@webnova.invalid"
_WHEN = "946684800 +0000"
"""The date of what is derived from its contents alone: the same for all."""


class GitFailed(Unavailable):
    """Git could not do what was asked."""

    code, title = "git_failed", "Git failed"


@dataclass(frozen=True, slots=True)
class Git:
    """The program at work on one repository, or on none yet."""

    program: str
    directory: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def find(cls, directory: Path) -> Git:
        """The installed Git, working in `directory`, which must exist.

        Raises `Unavailable` when there is none or an old one.
        """
        mend = f"Install Git {OLDEST[0]}.{OLDEST[1]} or later and have it on the PATH."
        program = shutil.which("git")
        if program is None:
            raise Unavailable("Git is not installed.", mend=mend)
        git = cls(program, directory)
        found = re.search(r"(\d+)\.(\d+)", git.text("version"))
        if found is None or (int(found[1]), int(found[2])) < OLDEST:
            raise Unavailable(
                f"Git is too old: {found[0] if found else 'unknown version'}.", mend=mend
            )
        return git

    def at(self, directory: Path, **variables: str) -> Git:
        """The same, in another directory or with other environment variables."""
        return replace(self, directory=directory, variables={**self.variables, **variables})

    def run(
        self, *arguments: str, stdin: bytes = b"", accept: Sequence[int] = (0,)
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command. Raises `GitFailed` when it ends with a code that is not accepted."""
        settings = [part for each in _SETTINGS for part in ("-c", each)]
        done = subprocess.run(
            [self.program, *settings, *arguments],
            cwd=self.directory,
            env=self._environment(),
            input=stdin,
            capture_output=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
        if done.returncode not in accept:
            said = " ".join(_PATH.sub("…", done.stderr.decode(errors="replace")).split())[:500]
            raise GitFailed(
                f"`git {arguments[0]}` failed: {said or f'code {done.returncode}'}.",
                mend="Run `git fsck` in the repository and see that you may write to it.",
            )
        return done

    def text(self, *arguments: str, stdin: bytes = b"") -> str:
        """The output without its last line's end."""
        return os.fsdecode(self.run(*arguments, stdin=stdin).stdout).rstrip("\n")

    def listed(self, *arguments: str, stdin: bytes = b"") -> list[str]:
        """The parts of an output that is separated by NUL."""
        output = self.run(*arguments, stdin=stdin).stdout
        return [os.fsdecode(part) for part in output.split(b"\0") if part]

    def write_blobs(self, contents: Sequence[bytes]) -> list[str]:
        """Store contents; their object ids in the same order."""
        if not contents:
            return []
        with tempfile.TemporaryDirectory(prefix="webnova-blobs-") as folder:
            names = []
            for number, content in enumerate(contents):
                name = os.path.join(folder, str(number))
                Path(name).write_bytes(content)
                names.append(name)
            lines = "".join(f"{name}\n" for name in names).encode()
            arguments = ("hash-object", "-w", "--no-filters", "--stdin-paths")
            return self.text(*arguments, stdin=lines).split()

    def read_objects(self, names: Iterable[str]) -> list[bytes | None]:
        """The contents of objects by any name that Git knows; None for what is not there."""
        wanted = list(names)
        asked = "".join(f"{name}\n" for name in wanted)
        output = self.run("cat-file", "--batch", stdin=os.fsencode(asked)).stdout
        found: list[bytes | None] = []
        at = 0
        for _ in wanted:
            end = output.index(b"\n", at)
            head = output[at:end].split(b" ")
            at = end + 1
            if head[-1] in (b"missing", b"ambiguous"):
                found.append(None)
                continue
            size = int(head[-1])
            found.append(output[at : at + size])
            at += size + 1
        return found

    def commit(
        self, tree: str, message: str, parents: Iterable[str], when: str | None = None
    ) -> str:
        """Make a commit that no branch holds yet."""
        dates = {f"GIT_{who}_DATE": when or _WHEN for who in ("AUTHOR", "COMMITTER")}
        above = [part for parent in parents for part in ("-p", parent)]
        maker = self.at(self.directory, **dates)
        return maker.text("commit-tree", tree, *above, "-F", "-", stdin=message.encode())

    @contextmanager
    def with_index(self) -> Iterator[Git]:
        """The same with an index of its own, empty at first."""
        with tempfile.TemporaryDirectory(prefix="webnova-index-") as folder:
            yield self.at(self.directory, GIT_INDEX_FILE=os.path.join(folder, "index"))

    def _environment(self) -> dict[str, str]:
        kept = {name: text for name, text in os.environ.items() if not name.startswith("GIT_")}
        return {
            **kept,
            "LC_ALL": "C",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_ALLOW_PROTOCOL": "none",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_LITERAL_PATHSPECS": "1",
            "GIT_AUTHOR_NAME": _WHO,
            "GIT_AUTHOR_EMAIL": _MAIL,
            "GIT_AUTHOR_DATE": _WHEN,
            "GIT_COMMITTER_NAME": _WHO,
            "GIT_COMMITTER_EMAIL": _MAIL,
            "GIT_COMMITTER_DATE": _WHEN,
            **self.variables,
        }


def index_line(mode: str, object_id: str, path: str) -> bytes:
    """A line for `git update-index -z --index-info`."""
    return f"{mode} {object_id}\t".encode() + os.fsencode(path) + b"\0"
