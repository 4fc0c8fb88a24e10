"""What the checks of the language still refuse is taken out of the Blueprint, and accounted for."""

from __future__ import annotations

from typing import Any

from engine.forge.blueprint.checks import errors
from engine.forge.blueprint.model import Blueprint
from engine.forge.blueprint.problems import Path
from engine.forge.formats.building.tracking import Tracks
from engine.forge.formats.report import Note
from engine.forge.resolve import resolve
from engine.kernel.errors import InvalidInput

_ROUNDS = 50
_PART = 4
"""Length of the path of a field or relation: what lies below it is an attribute."""


def prune(blueprint: Blueprint, tracks: Tracks) -> Blueprint:
    """The Blueprint without what its checks or the generator refuse.

    Attributes go before fields, fields before entities; each loss is noted with the reason that
    was given for it. Required relations that form a circle are made optional one by one. Raises
    `InvalidInput` when that leads nowhere.
    """
    for _ in range(_ROUNDS):
        refused = _refused(blueprint)
        if not refused:
            return blueprint
        data = blueprint.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        for path, message in refused:
            _remove(data, path, message, tracks)
        if not data.get("entities"):
            break
        blueprint = Blueprint.model_validate(data)
    raise InvalidInput(
        "The source contradicts itself too often to become a Blueprint.",
        mend="Import a part of it.",
    )


def _refused(blueprint: Blueprint) -> list[tuple[Path, str]]:
    found = [(finding.path, finding.message) for finding in errors(blueprint)]
    if found:
        return found
    try:
        resolve(blueprint)
    except InvalidInput as error:
        path = tuple(str(error.fields.get("path", "")).split("."))
        return [(path, error.detail[:1].lower() + error.detail[1:].rstrip("."))]
    return []


def _remove(data: Any, path: Path, message: str, tracks: Tracks) -> None:
    is_attribute = path[0] == "entities" and len(path) > _PART
    end = len(path) if is_attribute else min(len(path), _PART)
    around = data
    for part in path[: end - 1]:
        if not isinstance(around, dict) or part not in around:
            return
        around = around[part]
    if not isinstance(around, dict) or around.pop(path[end - 1], None) is None:
        return
    if is_attribute:
        for tracked in tracks.nearest(path):
            tracked.notes.append(Note(f"`{path[-1]}` is left out: {message}"))
    else:
        tracks.drop(path[:end], Note(message))
