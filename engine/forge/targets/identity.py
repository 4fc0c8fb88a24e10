"""What a generated file is, whatever its path: so it is followed when the generator moves it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from engine.forge.resolve import ResolvedEntity
from engine.forge.targets.contract import BackendTarget, FrontendTarget, Unit


@runtime_checkable
class MovesFiles(Protocol):
    """A target that has moved files since an earlier version of it."""

    @property
    def former_paths(self) -> Mapping[str, str]:
        """Where each moved file was first, by its path of today. What an entity names in a path is
        written `{entity}` or, for its plural, `{entities}`."""
        ...


def identity(target: BackendTarget | FrontendTarget, unit: Unit, path: str) -> str:
    """The same for the same file in all versions of a target and of a platform.

    The part before the first `/` says what it belongs to: `entities.Doctor`, or the unit's own
    name. An entity's names in the path are left out, so that only this part changes with them.
    """
    entity = _entity_of(unit, path)
    role = "/".join(_anonymous(part, entity) for part in path.split("/")) if entity else path
    if isinstance(target, MovesFiles):
        role = target.former_paths.get(role, role)
    owner = f"entities.{entity.name}" if entity else unit.name.replace("/", ":")
    return f"{owner}/{role}"


def _entity_of(unit: Unit, path: str) -> ResolvedEntity | None:
    """The entity that a file is about: its unit's, or the one that it is named after."""
    if unit.entity is not None:
        return unit.platform.entity(unit.entity)
    if unit.trace != ("entities",):
        return None
    stem = path.rpartition("/")[2].partition(".")[0]
    return next((each for each in unit.platform.entities if each.plural_snake == stem), None)


def _anonymous(part: str, entity: ResolvedEntity) -> str:
    stem, dot, suffix = part.partition(".")
    if stem in (entity.module, entity.snake):
        stem = "{entity}"
    elif stem in (entity.plural_snake, entity.route):
        stem = "{entities}"
    elif stem.startswith(entity.name):
        stem = "{Entity}" + stem[len(entity.name) :]
    return stem + dot + suffix
