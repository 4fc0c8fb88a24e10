"""What an import and an export must keep: the effective fields and relations of a Blueprint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.forge.blueprint.model import Blueprint
from engine.forge.resolve import resolve

SOURCES = Path(__file__).parent / "sources"


def fields(blueprint: Blueprint, *attributes: str) -> dict[str, dict[str, tuple[Any, ...]]]:
    """For each entity its fields, each with the named attributes as the generator sees them."""
    return {
        entity.name: {
            column.name: tuple(getattr(column, attribute) for attribute in attributes)
            for column in entity.columns
        }
        for entity in resolve(blueprint).entities
    }


def relations(blueprint: Blueprint, *attributes: str) -> dict[str, dict[str, tuple[Any, ...]]]:
    return {
        entity.name: {
            relation.name: tuple(getattr(relation, attribute) for attribute in attributes)
            for relation in entity.relations
        }
        for entity in resolve(blueprint).entities
    }


def enums(blueprint: Blueprint) -> dict[str, list[str]]:
    """The enums that fields hold; texts aside."""
    used = {spec.enum for entity in blueprint.entities.values() for spec in entity.fields.values()}
    return {name: list(spec.values) for name, spec in blueprint.enums.items() if name in used}


def sets(blueprint: Blueprint) -> dict[str, tuple[list[tuple[str, ...]], list[tuple[str, ...]]]]:
    """For each entity the columns of its unique sets, in any order, and of its indexes."""
    return {
        entity.name: (
            sorted(each.columns for each in entity.unique_sets),
            [each.columns for each in entity.indexes],
        )
        for entity in resolve(blueprint).entities
    }


def without_lifecycles(blueprint: Blueprint) -> Blueprint:
    """The Blueprint whose records have no states and no computed fields, which the formats have no
    word for."""
    entities = {}
    for name, entity in blueprint.entities.items():
        state = entity.lifecycle.field if entity.lifecycle else None
        sets = {
            key: [each for each in getattr(entity, key) if state not in each]
            for key in ("unique", "indexes")
        }
        stored = {key: spec for key, spec in entity.fields.items() if spec.computed is None}
        update = {"lifecycle": None, "fields": stored, **sets}
        entities[name] = entity.model_copy(update=update)
    return blueprint.model_copy(update={"entities": entities})


def without_renames(blueprint: Blueprint) -> Blueprint:
    """The Blueprint in which everything is stored under its own name."""

    def plain(parts: dict[str, Any]) -> dict[str, Any]:
        return {name: part.model_copy(update={"stored_as": None}) for name, part in parts.items()}

    entities = {
        name: entity.model_copy(
            update={"fields": plain(entity.fields), "relations": plain(entity.relations)}
        )
        for name, entity in plain(blueprint.entities).items()
    }
    return blueprint.model_copy(update={"entities": entities})
