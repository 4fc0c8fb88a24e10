"""A repository for the time of one merge, in which Git merges texts and finds moved files.

It is apart from the person's, so that no setting or attribute of theirs changes how files merge
(a `merge=union` would resolve conflicts by guess) and nothing of it stays behind.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from engine.forge.blueprint.canonical import canonical
from engine.forge.blueprint.source import load
from engine.forge.generate import BLUEPRINT
from engine.forge.regeneration.files import File, GeneratedState
from engine.forge.regeneration.git import Git, index_line
from engine.forge.regeneration.merging import Working
from engine.kernel.errors import InvalidInput

YOURS, BEFORE, GENERATED = "yours", "before", "generated"
_SMALLEST_MARKER = 7
_MARKERS = (b"<", b"|", b"=", b">")
_MOST_COMPARED = 5_000
_LARGEST_COMPARED = 1 << 20
_MOST_CONFLICTS = 127


class Scratch:
    """Merges texts and finds moves. `git` works in an empty directory that its maker removes."""

    def __init__(self, git: Git, directory: Path) -> None:
        git.at(directory).run("init", "--quiet", "--bare", "--template=", "-b", "none", "git")
        self._git = git.at(directory / "git")
        self._directory = directory

    def merge(self, base: bytes | None, yours: bytes, generated: bytes) -> tuple[bytes, str | None]:
        """Merge lines. Without a base, what both have in common is taken as unchanged.

        Conflicts hold both sides and, where there is one, the base. Their markers are longer than
        any such line of the texts.
        """
        size = _marker_size(base or b"", yours, generated)
        for name, content in ((YOURS, yours), (BEFORE, base or b""), (GENERATED, generated)):
            (self._directory / name).write_bytes(content)
        names = [str(self._directory / name) for name in (YOURS, BEFORE, GENERATED)]
        labels = [part for name in (YOURS, BEFORE, GENERATED) for part in ("-L", name)]
        style = ("--diff3",) if base is not None else ()
        done = self._git.run(
            "merge-file", "-p", *style, f"--marker-size={size}", *labels, *names,
            accept=range(_MOST_CONFLICTS + 1),
        )  # fmt: skip
        return done.stdout, f"{'<' * size} {YOURS}" if done.returncode else None

    def mean_the_same(self, path: str, yours: bytes, generated: bytes) -> bool:
        """Whether it is the Blueprint, and both say the same."""
        if path != BLUEPRINT:
            return False
        try:
            return canonical(load(yours, filename=path).blueprint).encode() == generated
        except InvalidInput:
            return False

    def moves(
        self, base: GeneratedState, ours: Working, known: Mapping[str, str]
    ) -> dict[str, str]:
        """Where the person has moved files of the base to: what was known of it before, then equal
        content, then Git's similarity (half of the lines). No two go to the same path.
        """
        here = set(ours.paths)
        missing = {
            path: file
            for path, file in base.files.items()
            if path not in here and file is not None and file.content
        }
        free = {path for path in here - base.files.keys() if _is_unicode(path)}
        if not missing or not free:
            return {}
        found: dict[str, str] = {}
        for path in sorted(missing):
            if known.get(path) in free:
                found[path] = known[path]
                free.remove(known[path])
        candidates = _comparable(ours, free)
        found |= _equal(
            {path: file for path, file in missing.items() if path not in found}, candidates
        )
        left = {path: file for path, file in missing.items() if path not in found}
        others = {path: file for path, file in candidates.items() if path not in found.values()}
        return found | self._similar(left, others)

    def _similar(self, missing: Mapping[str, File], here: Mapping[str, File]) -> dict[str, str]:
        if not missing or not here:
            return {}
        trees = [self._tree(missing), self._tree(here)]
        parts = self._git.listed(
            "diff-tree", "-r", "-z", "-M50%", "-l0", "--no-ext-diff", "--diff-filter=R",
            "--name-status", *trees,
        )  # fmt: skip
        return _renames(parts)

    def _tree(self, files: Mapping[str, File]) -> str:
        paths = sorted(files)
        ids = self._git.write_blobs([files[path].content for path in paths])
        lines = b"".join(
            index_line(files[path].mode, id, path) for path, id in zip(paths, ids, strict=True)
        )
        with self._git.with_index() as git:
            git.run("update-index", "-z", "--index-info", stdin=lines)
            return git.text("write-tree")


def _is_unicode(path: str) -> bool:
    """Whether a path can be told to anybody; one that can't is never followed."""
    return not any("\ud800" <= letter <= "\udfff" for letter in path)


def _renames(parts: list[str]) -> dict[str, str]:
    """Status, old and new path, one after the other."""
    return dict(zip(parts[1::3], parts[2::3], strict=True))


def _equal(missing: Mapping[str, File], here: Mapping[str, File]) -> dict[str, str]:
    """Pairs of the same content, those with the same name first."""
    by_content: dict[bytes, list[str]] = defaultdict(list)
    for path in sorted(here):
        by_content[here[path].content].append(path)
    found: dict[str, str] = {}
    for path, file in sorted(missing.items()):
        places = by_content.get(file.content, [])
        name = PurePosixPath(path).name
        place = min(places, key=lambda each: PurePosixPath(each).name != name, default=None)
        if place is not None:
            places.remove(place)
            found[path] = place
    return found


def _comparable(ours: Working, paths: Iterable[str]) -> dict[str, File]:
    found: dict[str, File] = {}
    for path in itertools.islice(sorted(paths), _MOST_COMPARED):
        file = ours.read(path)
        if file.is_regular and 0 < len(file.content) <= _LARGEST_COMPARED:
            found[path] = file
    return found


def _marker_size(*texts: bytes) -> int:
    size = _SMALLEST_MARKER
    starts = tuple(each * size for each in _MARKERS)
    while any(line.startswith(starts) for text in texts for line in text.splitlines()):
        size += 2
        starts = tuple(each * size for each in _MARKERS)
    return size
