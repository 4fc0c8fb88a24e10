"""What a target is: something that turns the resolved model into the files of a backend or of the
pages that people use it by.

Rendering is split into units that depend on nothing but themselves, so that a caller may render
them in one process or in many. The same platform gives the same bytes, wherever and whenever.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from engine.forge.resolve import ResolvedPlatform


@dataclass(frozen=True, slots=True)
class Unit:
    """A part of a platform that is rendered on its own. Picklable.

    `trace` lists the paths of the Blueprint that the unit's files come from. `entity` is None for
    what belongs to the platform as a whole. `history` holds the earlier versions of the platform
    where the unit grows out of them.
    """

    name: str
    platform: ResolvedPlatform
    entity: str | None
    trace: tuple[str, ...]
    history: tuple[ResolvedPlatform, ...] = ()


@runtime_checkable
class BackendTarget(Protocol):
    """A backend that can be generated. Implementations keep no state and read no clock."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str:
        """Changes whenever the same platform would give other bytes."""
        ...

    def modules(
        self, platform: ResolvedPlatform, history: Sequence[ResolvedPlatform] = ()
    ) -> list[Unit]:
        """The units of a platform. Their files never share a path.

        `history` holds the versions that ran before, oldest first: the database that they left is
        what the new version's migrations start from.
        """
        ...

    def render(self, unit: Unit) -> dict[str, str]:
        """The unit's files by relative POSIX path, not yet formatted."""
        ...

    def finish(self, files: Mapping[str, str]) -> dict[str, str]:
        """The same files, formatted; no path is added or lost."""
        ...


@runtime_checkable
class FrontendTarget(Protocol):
    """Pages that can be generated. Implementations keep no state and read no clock.

    Its files and the names of its units begin with `web/`, so that they never meet those of a
    backend. The backend serves what a build leaves in `web/dist`.
    """

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str:
        """Changes whenever the same platform would give other bytes."""
        ...

    def modules(self, platform: ResolvedPlatform) -> list[Unit]:
        """The units of a platform. Their files never share a path."""
        ...

    def render(self, unit: Unit) -> dict[str, str]:
        """The unit's files by relative POSIX path."""
        ...

    def finish(self, files: Mapping[str, str]) -> dict[str, str]:
        """The same files, formatted; no path is added or lost."""
        ...
