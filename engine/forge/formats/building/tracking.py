"""Which construct of the source stands behind which part of the Blueprint."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.forge.blueprint.problems import Path, dotted
from engine.forge.formats.draft import Draft
from engine.forge.formats.report import Note, Place


@dataclass(slots=True)
class Tracked:
    """A construct on its way. It is carried unless something is noted about it."""

    what: tuple[str, str]
    place: Place
    path: Path
    notes: list[Note] = field(default_factory=list)
    dropped: bool = False


class Tracks:
    """Every construct that the builder takes over, by its path in the Blueprint."""

    def __init__(self) -> None:
        self._all: list[Tracked] = []
        self._by_path: dict[Path, list[Tracked]] = {}

    def add(self, what: tuple[str, str], place: Place, path: Path, notes: list[Note]) -> Tracked:
        tracked = Tracked(what, place, path, list(notes))
        self._all.append(tracked)
        self._by_path.setdefault(path, []).append(tracked)
        return tracked

    def nearest(self, path: Path) -> list[Tracked]:
        """The constructs behind the smallest part around `path` that has any."""
        for end in range(len(path), 0, -1):
            if found := self._by_path.get(path[:end]):
                return found
        return []

    def drop(self, path: Path, note: Note) -> None:
        """The part at `path`, with everything below it, is not in the Blueprint after all."""
        for tracked in self._all:
            if tracked.path[: len(path)] == path and not tracked.dropped:
                tracked.dropped = True
                tracked.notes.append(note)

    def tell(self, draft: Draft) -> None:
        """Write the outcome of every construct into the draft's account."""
        for tracked in self._all:
            reasons = list(dict.fromkeys(note.reason for note in tracked.notes))
            mends = list(dict.fromkeys(note.mend for note in tracked.notes if note.mend))
            note = Note("; ".join(reasons), " ".join(mends) or None) if reasons else None
            outcome = "dropped" if tracked.dropped else "changed" if note else "carried"
            path = None if tracked.dropped else dotted(tracked.path)
            draft.tell(outcome, tracked.what, tracked.place, note, path)  # type: ignore[arg-type]
