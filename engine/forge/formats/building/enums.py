"""From the enums of a draft to those of the language."""

from __future__ import annotations

from engine.forge.blueprint.model import EnumSpec, Text
from engine.forge.formats.building.names import Scope, enum_scope, member, title
from engine.forge.formats.building.tracking import Tracks
from engine.forge.formats.draft import Draft, DraftEnum
from engine.forge.formats.report import Note

MOST_ENUMS = 100
MOST_VALUES = 100
Known = dict[str, tuple[str, dict[str, str]]]


def build_enums(
    draft: Draft, tracks: Tracks, entities: list[str]
) -> tuple[dict[str, EnumSpec], Known]:
    """The enums, and by what the source calls them their names and those of their values.

    An enum that the language can't hold is dropped with its reason: fields of it become texts.
    """
    specs: dict[str, EnumSpec] = {}
    known: Known = {}
    scope = enum_scope(entities)
    for enum in draft.enums:
        values = {value.name for value in enum.values}
        if len(specs) >= MOST_ENUMS:
            draft.drop("enum", enum.name, enum.place, f"a Blueprint has at most {MOST_ENUMS} enums")
            continue
        if not 0 < len(values) <= MOST_VALUES:
            message = f"an enum has 1 to {MOST_VALUES} values, not {len(values)}"
            draft.drop("enum", enum.name, enum.place, message)
            continue
        wished = member(enum.name, "kind")
        name, why = scope.take(wished, f"{wished[:35]}_kind")
        notes = [Note(f"it is called `{name}` because {why}")] if why else []
        spec, by_source = _enum(enum, name, tracks)
        specs[name] = spec
        known[enum.name] = (name, by_source)
        tracks.add(("enum", enum.name), enum.place, ("enums", name), notes)
    return specs, known


def _enum(enum: DraftEnum, name: str, tracks: Tracks) -> tuple[EnumSpec, dict[str, str]]:
    scope = Scope()
    values: dict[str, Text] = {}
    by_source: dict[str, str] = {}
    for value in enum.values:
        if value.name in by_source:
            continue
        wished = member(value.name)
        chosen, why = scope.take(wished, f"{wished[:34]}_value")
        notes = []
        if chosen != value.name:
            reason = f"the value is written `{chosen}`" + (f" because {why}" if why else "")
            notes.append(Note(reason))
        text = value.label or (value.name if chosen != value.name else "")
        values[chosen] = title(text)
        by_source[value.name] = chosen
        path = ("enums", name, "values", chosen)
        tracks.add(("enum value", f"{enum.name}.{value.name}"), value.place, path, notes)
    return EnumSpec(title=title(enum.label), values=values), by_source
