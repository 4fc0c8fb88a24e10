"""Changing a directory in steps that can be broken off anywhere and taken up again.

What is to be done is written down, with every content in the object store, before the first file
changes. Whoever finds the note finishes it. A file that was changed in between by somebody else is
never overwritten.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from engine.forge.regeneration.files import EXECUTABLE, LINK, File, parents
from engine.forge.regeneration.git import Git
from engine.forge.regeneration.merging import COPY
from engine.forge.regeneration.outcome import ConflictKind, MergeConflict
from engine.forge.regeneration.working import look
from engine.kernel.errors import InvalidInput


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Version(_Model):
    """A content, by its object in the store and its SHA-256."""

    object: str
    digest: str
    mode: str

    def is_of(self, file: File | None) -> bool:
        return file is not None and (file.digest, file.mode) == (self.digest, self.mode)


class Step(_Model):
    """One file; None is that there is none."""

    path: str
    before: Version | None
    after: Version | None


class Journal(_Model):
    """A change of a directory.

    `token` is part of the names of files that are being written. `begin` is the commit that a
    branch without commits begins with. `overwrite` lets it replace what was changed since: only
    after all of it was backed up.
    """

    token: str
    steps: list[Step]
    backup: str | None = None
    conflicts: list[MergeConflict] = []
    conflicts_before: list[MergeConflict] = []
    moves: dict[str, str] = {}
    begin: str | None = None
    overwrite: bool = False

    def reversed(self) -> Journal:
        steps = [Step(path=s.path, before=s.after, after=s.before) for s in self.steps]
        return Journal(
            token=self.token,
            steps=_removals_first(steps),
            conflicts=self.conflicts_before,
            conflicts_before=self.conflicts,
            moves=self.moves,
            overwrite=True,
        )


class _Kept(_Model):
    conflicts: list[MergeConflict] = []
    moves: dict[str, str] = {}


class Notes:
    """What is known of a project beside its files, in a directory of the repository's own."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def pending(self) -> Journal | None:
        """The change that was begun and not finished."""
        return self._journal("journal.json")

    def last(self) -> Journal | None:
        """The change that was made last."""
        return self._journal("last.json")

    def open_conflicts(self, root: Path) -> list[MergeConflict]:
        """Those of the last generation that nobody has resolved: a marker is still in the file, or
        the generated version still lies beside it."""
        return [each for each in self._kept().conflicts if _is_open(root, each)]

    def moves(self) -> dict[str, str]:
        """Where the person's files were found when the last generation followed them."""
        return dict(self._kept().moves)

    def begin(self, journal: Journal) -> None:
        _replace(self._directory / "journal.json", journal.model_dump_json())

    def finish(self, journal: Journal) -> None:
        kept = _Kept(conflicts=journal.conflicts, moves=journal.moves)
        _replace(self._directory / "kept.json", kept.model_dump_json())
        (self._directory / "journal.json").replace(self._directory / "last.json")

    def _kept(self) -> _Kept:
        text = _text(self._directory / "kept.json")
        return _Kept.model_validate_json(text) if text is not None else _Kept()

    def _journal(self, name: str) -> Journal | None:
        text = _text(self._directory / name)
        try:
            return Journal.model_validate_json(text) if text is not None else None
        except ValidationError as error:
            raise InvalidInput(
                f"{name} of the project can't be read.",
                mend="Use the version of WebNova that wrote it.",
            ) from error


def plan_steps(
    git: Git, before: Mapping[str, File | None], after: Mapping[str, File | None]
) -> list[Step]:
    """The steps from one state of some paths to another, all contents stored. Removals come first,
    so that a file can become a directory."""
    versions: dict[File, Version] = {}
    files = list({**_known(before), **_known(after)})
    for file, id in zip(files, git.write_blobs([file.content for file in files]), strict=True):
        versions[file] = Version(object=id, digest=file.digest, mode=file.mode)
    steps = []
    for path in sorted(after):
        old, new = before.get(path), after[path]
        steps.append(
            Step(
                path=path,
                before=versions[old] if old is not None else None,
                after=versions[new] if new is not None else None,
            )
        )
    return _removals_first(steps)


def apply(git: Git, root: Path, journal: Journal) -> list[str]:
    """Do what is left of a journal's steps. Returns the paths that somebody changed meanwhile:
    they are as that person left them, and the version that was to come lies beside them.
    """
    wanted = [step.after.object for step in journal.steps if step.after is not None]
    contents = dict(zip(wanted, git.read_objects(wanted), strict=True))
    changed: list[str] = []
    try:
        _sweep(root, journal)
        for step in journal.steps:
            current = look(root, step.path)
            if _is(step.after, current):
                continue
            free = journal.overwrite or _is(step.before, current)
            after = None
            if step.after is not None:
                content = contents[step.after.object]
                if content is None:
                    raise InvalidInput(
                        "The repository has lost an object that an interrupted run needs.",
                        mend="Run `git fsck`, or restore the directory from a copy.",
                    )
                after = File(content, step.after.mode)
            if free and _blocks(root, step.path):
                free = False
            if not free:
                changed.append(step.path)
                if after is not None:
                    _write(root, _beside(root, step.path, after), after, journal.token)
            elif after is None:
                _remove(root, step.path)
            else:
                _write(root, step.path, after, journal.token)
        _sweep(root, journal)
    except OSError as error:
        raise InvalidInput(
            f"The directory can't be written: {error.strerror}.",
            mend="See that there is room and that you may write to it, then generate again:"
            " it goes on where it stopped. `webnova undo` takes it back.",
        ) from error
    return changed


def meanwhile(paths: Iterable[str]) -> list[MergeConflict]:
    """What was changed while a run was under way, as conflicts."""
    message = "it was changed while this ran; what was to become of it lies beside it"
    return [
        MergeConflict(path=path, kind=ConflictKind.TAKEN, message=message) for path in sorted(paths)
    ]


def _removals_first(steps: list[Step]) -> list[Step]:
    return sorted(steps, key=lambda step: step.after is not None)


def _known(files: Mapping[str, File | None]) -> dict[File, None]:
    return {file: None for file in files.values() if file is not None}


def _is(version: Version | None, file: File | None) -> bool:
    return file is None if version is None else version.is_of(file)


def _is_open(root: Path, conflict: MergeConflict) -> bool:
    if conflict.generated is not None:
        return os.path.lexists(root / conflict.generated)
    if conflict.marker is None:
        return False
    file = look(root, conflict.path)
    lines = file.content.splitlines() if file is not None else []
    return conflict.marker.encode() in lines


def _blocks(root: Path, path: str) -> bool:
    """Whether a link or a file stands where a directory of the path should be, or a directory that
    is not empty where the file should be."""
    if any(_is_in_the_way(root / above) for above in parents(path)):
        return True
    place = root / path
    return place.is_dir() and not place.is_symlink() and _holds_something(place)


def _holds_something(directory: Path) -> bool:
    """Whether there is more below it than directories."""
    for folder, inner, names in os.walk(directory):
        if names or any((Path(folder) / each).is_symlink() for each in inner):
            return True
    return False


def _is_in_the_way(place: Path) -> bool:
    return os.path.lexists(place) and (place.is_symlink() or not place.is_dir())


def _beside(root: Path, path: str, file: File) -> str:
    blocked = next((each for each in parents(path) if _is_in_the_way(root / each)), path)
    rest = path[len(blocked) :]
    number = 1
    while True:
        beside = f"{blocked}{COPY}{'' if number == 1 else f'.{number}'}{rest}"
        if look(root, beside) in (None, file) and not _blocks(root, beside):
            return beside
        number += 1


def _write(root: Path, path: str, file: File, token: str) -> None:
    """In one step: whoever looks sees the old file or the new one."""
    place = root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_dir() and not place.is_symlink():
        for folder, _, _ in os.walk(place, topdown=False):
            os.rmdir(folder)
    name = hashlib.sha256(os.fsencode(place.name)).hexdigest()[:16]
    fresh = place.with_name(f".webnova-{name}.{token}")
    fresh.unlink(missing_ok=True)
    if file.mode == LINK:
        os.symlink(os.fsdecode(file.content), fresh)
    else:
        fresh.write_bytes(file.content)
        allowed = place.stat().st_mode & 0o777 if place.is_file() else 0o644
        fresh.chmod(allowed | 0o111 if file.mode == EXECUTABLE else allowed & ~0o111)
    os.replace(fresh, place)


def _sweep(root: Path, journal: Journal) -> None:
    """Remove what a run that was killed had begun to write."""
    for folder in {(root / step.path).parent for step in journal.steps}:
        if folder.is_dir():
            for left in folder.glob(f".webnova-*.{journal.token}"):
                left.unlink(missing_ok=True)


def _remove(root: Path, path: str) -> None:
    (root / path).unlink(missing_ok=True)
    for above in parents(path):
        try:
            (root / above).rmdir()
        except OSError:
            # It still holds something.
            break


def _text(path: Path) -> str | None:
    with contextlib.suppress(FileNotFoundError):
        return path.read_text(encoding="utf-8")
    return None


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    with fresh.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
