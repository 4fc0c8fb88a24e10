"""The three-way merge of generated files with people's work. Pure: nothing is read or written.

The base is what the generator wrote before, one side is what it writes now, the other what is in
the directory. Generated files are told apart by what they are, not by their path: the generator's
own moves are followed exactly. Nothing is resolved by guess, and no version is dropped: where two
can't become one, the person's stays where it is and the generated one is put beside it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from engine.forge.regeneration.files import File, GeneratedState, parents
from engine.forge.regeneration.outcome import ConflictKind, MergeConflict, Move

COPY = ".generated"
"""What is appended to the path of a generated version that is put beside the person's."""

_SAID = {
    ConflictKind.CONTENT: "you and the generator changed the same lines; both are marked in it",
    ConflictKind.ADDED: "nobody knows what it was before; what differs is marked in it",
    ConflictKind.BINARY: "you and the generator changed it, and it has no lines to merge",
    ConflictKind.REMOVED: "it is generated no more, but you edited or moved it: it is yours now",
    ConflictKind.DELETED: "you deleted it, but it is generated otherwise now",
    ConflictKind.MOVED: "you and the generator moved it to different places",
    ConflictKind.TYPE: "you replaced it by something that is no plain file",
    ConflictKind.TAKEN: "something of yours stands where it is generated",
}


class Working(Protocol):
    """The files in the directory, whoever made them."""

    @property
    def paths(self) -> Collection[str]: ...

    def read(self, path: str) -> File:
        """The file of one of the paths."""
        ...


class Texts(Protocol):
    """What the merge has to ask somebody else about."""

    def merge(self, base: bytes | None, yours: bytes, generated: bytes) -> tuple[bytes, str | None]:
        """The merged text, and the line that begins each conflict in it if there is one."""
        ...

    def mean_the_same(self, path: str, yours: bytes, generated: bytes) -> bool:
        """Whether two texts differ only in how they say it."""
        ...


@dataclass
class Plan:
    """What is to be done. `deletes` holds no path of `writes`."""

    writes: dict[str, File] = field(default_factory=dict)
    deletes: set[str] = field(default_factory=set)
    copies: set[str] = field(default_factory=set)
    kept: set[str] = field(default_factory=set)
    moved: list[Move] = field(default_factory=list)
    conflicts: list[MergeConflict] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Merged:
    """A merged file; `clash` when the two versions did not become one."""

    file: File
    clash: ConflictKind | None = None
    marker: str | None = None


@dataclass(frozen=True, slots=True)
class _Shift:
    """A file that the generator has moved, on its way from `before` to `after`."""

    before: str
    after: str
    merged: _Merged
    generated: File


def pairs(
    base: GeneratedState, new: GeneratedState, renamed: Mapping[str, str]
) -> dict[str, str | None]:
    """Where each file of the base is in the new state; None for what is generated no more.

    Files are the same when their ids are, after `renamed` has replaced the part of an id before
    its first `/`. A file whose id nobody has is found by its path.
    """
    at = {id: path for path, id in new.ids.items()}
    found: dict[str, str | None] = {}
    for path in base.files:
        whole, slash, role = base.ids.get(path, "").partition("/")
        found[path] = at.get(renamed.get(whole, whole) + slash + role)
    taken = {path for path in found.values() if path is not None}
    for path, after in found.items():
        if after is None and path in new.files and path not in taken:
            found[path] = path
    return found


def merge(
    base: GeneratedState,
    ours: Working,
    new: GeneratedState,
    same: Mapping[str, str | None],
    follow: tuple[Mapping[str, str], Texts],
) -> Plan:
    """Merge `new` into `ours`.

    `same` says where each file of the base is in `new` (see `pairs`). `follow` holds the paths to
    which the person has moved files of the base, and what merges texts.
    """
    return _Merge(base, ours, new, same, *follow).run()


class _Merge:
    def __init__(
        self,
        base: GeneratedState,
        ours: Working,
        new: GeneratedState,
        same: Mapping[str, str | None],
        moves: Mapping[str, str],
        texts: Texts,
    ) -> None:
        self._base, self._ours, self._new = base, ours, new
        self._same, self._moves, self._texts = same, moves, texts
        self._plan = Plan()
        self._followed: set[str] = set()
        self._shifts: list[_Shift] = []
        self._beside: list[tuple[str, File, ConflictKind, str]] = []
        self._final: dict[str, File | None] = {}
        self._directories: set[str] = set()

    def run(self) -> Plan:
        for before, after in sorted(self._same.items()):
            self._follow(before, after)
        for path in self._ours.paths:
            if path not in self._followed:
                self._put(path, None)
        blocked = self._blocked_shifts()
        for shift in sorted(self._shifts, key=lambda each: each.before not in blocked):
            self._shift(shift, blocked=shift.before in blocked)
        for path in sorted(self._new.files.keys() - set(self._same.values())):
            self._add(path)
        for path, file, kind, at in self._beside:
            self._keep_beside(path, file, kind, at)
        self._plan.deletes = self._followed - self._final.keys()
        self._plan.writes = {
            path: file
            for path, file in self._final.items()
            if file is not None and (path not in self._ours.paths or self._ours.read(path) != file)
        }
        self._plan.conflicts.sort(key=lambda each: (each.path, each.kind))
        return self._plan

    def _follow(self, before: str, after: str | None) -> None:
        """Carry one file of the base over."""
        base = self._base.files[before]
        new = self._new.files[after] if after is not None else None
        at = before if before in self._ours.paths else self._moves.get(before)
        if at is None:
            if new is not None and after is not None and new.digest != self._base.digests[before]:
                self._beside.append((after, new, ConflictKind.DELETED, after))
            return
        self._followed.add(at)
        mine = self._ours.read(at)
        edited = base is None or not _same(mine, base)
        if edited:
            self._plan.kept.add(at)
        if new is None or after is None:
            if edited or at != before:
                self._put(at, mine)
                self._conflict(at, ConflictKind.REMOVED)
            return
        merged = self._merged(before, base, mine, new)
        if at == before and after != before:
            self._shifts.append(_Shift(at, after, merged, new))
            return
        self._settle(at, merged, after, new)
        if at != before:
            self._plan.moved.append(Move(before=before, after=at, by="you"))
            if after not in (before, at):
                self._beside.append((after, new, ConflictKind.MOVED, at))

    def _merged(self, path: str, base: File | None, mine: File, new: File) -> _Merged:
        if base is not None and _equal(new, base):
            return _Merged(mine)
        if not mine.is_regular:
            return _Merged(mine) if mine == new else _Merged(mine, ConflictKind.TYPE)
        mode = new.mode if base is None or mine.mode == base.mode else mine.mode
        if mine.has_windows_lines and not new.has_windows_lines:
            within = self._content(path, base, mine.with_unix_lines(), new)
            content = within.file.with_windows_lines().content
        else:
            within = self._content(path, base, mine, new)
            content = within.file.content
        return _Merged(File(content, mode), within.clash, within.marker)

    def _content(self, path: str, base: File | None, mine: File, new: File) -> _Merged:
        if mine.content == new.content or (base is not None and base.content == new.content):
            return _Merged(mine)
        if base is not None and mine.content == base.content:
            return _Merged(new)
        if self._texts.mean_the_same(path, mine.content, new.content):
            return _Merged(mine)
        if mine.is_binary or new.is_binary or (base is not None and base.is_binary):
            return _Merged(mine, ConflictKind.BINARY)
        before = base.content if base is not None else None
        text, marker = self._texts.merge(before, mine.content, new.content)
        kind = ConflictKind.CONTENT if base is not None else ConflictKind.ADDED
        return _Merged(File(text, mine.mode), kind if marker is not None else None, marker)

    def _settle(self, at: str, merged: _Merged, after: str, new: File) -> None:
        """Put a merged file at its place, and what it clashes with beside it or in it."""
        self._put(at, merged.file)
        if merged.marker is not None and merged.clash is not None:
            self._conflict(at, merged.clash, marker=merged.marker)
        elif merged.clash is not None:
            self._beside.append((at if after == at else after, new, merged.clash, at))

    def _blocked_shifts(self) -> set[str]:
        """The files that can't go where the generator moves them. One that has to stay may stand in
        the way of another."""
        blocked: set[str] = set()
        while True:
            taken = {*self._final, *blocked}
            for shift in self._shifts:
                if shift.before in blocked:
                    continue
                if not _is_free(shift.after, taken):
                    blocked.add(shift.before)
                    break
                taken.add(shift.after)
            else:
                return blocked

    def _shift(self, shift: _Shift, *, blocked: bool) -> None:
        if blocked:
            self._settle(shift.before, shift.merged, shift.after, shift.generated)
            if shift.merged.clash is None or shift.merged.marker is not None:
                beside = (shift.after, shift.generated, ConflictKind.TAKEN, shift.before)
                self._beside.append(beside)
            return
        self._settle(shift.after, shift.merged, shift.after, shift.generated)
        self._plan.moved.append(Move(before=shift.before, after=shift.after, by="generator"))
        if shift.before in self._plan.kept:
            self._plan.kept.remove(shift.before)
            self._plan.kept.add(shift.after)

    def _add(self, path: str) -> None:
        new = self._new.files[path]
        assert new is not None
        if path in self._final and self._final[path] is None:
            merged = self._merged(path, None, self._ours.read(path), new)
            self._settle(path, merged, path, new)
            if merged.file != new:
                self._plan.kept.add(path)
        elif self._is_free(path):
            self._put(path, new)
        else:
            self._beside.append((path, new, ConflictKind.TAKEN, path))

    def _put(self, path: str, file: File | None) -> None:
        self._final[path] = file
        self._directories.update(parents(path))

    def _is_free(self, path: str) -> bool:
        blocked = any(each in self._final for each in (path, *parents(path)))
        return not blocked and path not in self._directories

    def _keep_beside(self, path: str, file: File, kind: ConflictKind, at: str) -> None:
        """Put a generated version where nothing stands: beside whatever is in its way."""
        blocked = next((each for each in parents(path) if each in self._final), path)
        rest = path[len(blocked) :]
        number = 1
        while True:
            suffix = COPY if number == 1 else f"{COPY}.{number}"
            beside = f"{blocked}{suffix}{rest}"
            if self._holds(beside, file):
                break
            if self._is_free(beside):
                self._put(beside, file)
                break
            number += 1
        self._plan.copies.add(beside)
        self._conflict(at, kind, generated=beside)

    def _holds(self, path: str, file: File) -> bool:
        """Whether the person's directory has this very copy already."""
        return path in self._final and path in self._ours.paths and self._ours.read(path) == file

    def _conflict(
        self,
        path: str,
        kind: ConflictKind,
        *,
        generated: str | None = None,
        marker: str | None = None,
    ) -> None:
        said = _SAID[kind] + (f"; the generated version is {generated}" if generated else "")
        conflict = MergeConflict(
            path=path, kind=kind, message=said, generated=generated, marker=marker
        )
        self._plan.conflicts.append(conflict)


def _is_free(path: str, taken: Collection[str]) -> bool:
    """Whether a file may stand there beside those: none of them is it, above it or below it."""
    return not any(
        each == path or path.startswith(f"{each}/") or each.startswith(f"{path}/") for each in taken
    )


def _same(mine: File, base: File) -> bool:
    """Whether a file is as it was generated, but perhaps for the ends of its lines."""
    if mine == base:
        return True
    return mine.has_windows_lines and mine.with_unix_lines() == base


def _equal(new: File, base: File) -> bool:
    return new.content == base.content and new.mode == base.mode
