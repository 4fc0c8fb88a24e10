"""Checkpoints in a directory: on a disk of its own, a share, or a place that is backed up."""

from __future__ import annotations

import asyncio
import fcntl
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from engine.kernel.errors import InvalidInput, Unavailable
from engine.kernel.ids import SLUG
from engine.ledger.transparency.notes import Checkpoint
from engine.ledger.transparency.proofs import LogContradiction
from engine.ledger.transparency.publication import CheckpointPublisher, Succession, succeeds

LATEST, HISTORY, LOCK = "latest", "history", ".lock"


class FilePublishing:
    """The kind `file`; a location is the path of a directory."""

    def open(self, location: str) -> CheckpointPublisher:
        return FilePublisher(Path(location))


class FilePublisher:
    """Keeps, for each tenant, `<tenant>/latest` and `<tenant>/history/<size>`.

    Files of the history are written once and never again. `latest` is replaced in one step; every
    file and directory is synchronised to the disk before a call returns. Processes take turns by a
    lock on the tenant's directory. Raises `Unavailable` when the directory can't be used.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def latest(self, tenant: str) -> str | None:
        return await asyncio.to_thread(self._latest, self._place(tenant))

    async def publish(self, tenant: str, note: str, succession: Succession) -> None:
        await asyncio.to_thread(self._publish, self._place(tenant), note, succession)

    async def history(self, tenant: str) -> Sequence[str]:
        return await asyncio.to_thread(self._history, self._place(tenant))

    def _place(self, tenant: str) -> Path:
        if SLUG.fullmatch(tenant) is None:
            raise InvalidInput("That is not the name of a tenant.")
        return self._directory / tenant

    @staticmethod
    def _latest(place: Path) -> str | None:
        with _usable():
            try:
                return (place / LATEST).read_text(encoding="utf-8")
            except FileNotFoundError:
                return None

    def _publish(self, place: Path, note: str, succession: Succession) -> None:
        with _usable(), _locked(place):
            latest = self._latest(place)
            if latest is not None:
                # The process may have ended between the two writes below.
                _keep(place / HISTORY, latest)
            if not succeeds(latest, note, succession):
                return
            # Looked at before anything is written, so that a refusal changes nothing.
            _free_for(place / HISTORY, Checkpoint.of(note))
            _replace(place / LATEST, note)
            _keep(place / HISTORY, note)

    @staticmethod
    def _history(place: Path) -> list[str]:
        with _usable():
            if not place.is_dir():
                return []
            with _locked(place):
                latest = FilePublisher._latest(place)
                if latest is not None:
                    _keep(place / HISTORY, latest)
                files = sorted((place / HISTORY).iterdir())
                return [each.read_text(encoding="utf-8") for each in files if each.name[0] != "."]


@contextmanager
def _usable() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable(
            f"The directory of published checkpoints can't be used: {error.strerror or error}.",
            mend="Make it writable for WebNova, or name another one.",
        ) from error


@contextmanager
def _locked(place: Path) -> Iterator[None]:
    (place / HISTORY).mkdir(parents=True, exist_ok=True)
    with (place / LOCK).open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _free_for(history: Path, checkpoint: Checkpoint) -> bool:
    """Whether the history lacks the checkpoint; raises when another one is in its place."""
    path = history / f"{checkpoint.size:020d}"
    try:
        kept = Checkpoint.of(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return True
    if kept != checkpoint:
        raise LogContradiction(
            f"The history holds another checkpoint of {checkpoint.size} events.",
            mend="Find out who wrote it; the history is never written twice.",
        )
    return False


def _keep(history: Path, note: str) -> None:
    """Write the note under its size, unless the same checkpoint lies there."""
    checkpoint = Checkpoint.of(note)
    if _free_for(history, checkpoint):
        scratch = _written(history, note)
        try:
            os.link(scratch, history / f"{checkpoint.size:020d}")
            _synchronise(history)
        finally:
            scratch.unlink()


def _replace(path: Path, text: str) -> None:
    scratch = _written(path.parent, text)
    try:
        scratch.replace(path)
    except OSError:
        scratch.unlink()
        raise
    _synchronise(path.parent)


def _written(directory: Path, text: str) -> Path:
    descriptor, name = tempfile.mkstemp(dir=directory, prefix=".new-")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
        os.fchmod(file.fileno(), 0o644)
    return Path(name)


def _synchronise(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
