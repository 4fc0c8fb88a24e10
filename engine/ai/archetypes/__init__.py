"""The library of domain archetypes: what a clinic, a school or a shop usually consists of.

Each YAML file beside this module is one archetype, named by its file name, in a short form of the
Blueprint language; `shorthand` says how it reads. Titles come from the lexicon, so that every
entity, field, role, state and move has an English and an Arabic one.

Top level of a file: `sector`, `title`, `compliance`, `about` (sentences for retrieval, by
language), `cues` (words that point to the domain, by language), `integrations`, `roles`, `enums`,
`core` (entities that are always included) and `entities` (the others are included when the text
mentions them, by their nouns or by their own `cues`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

from ruamel.yaml import YAML

from engine.ai.archetypes import shorthand
from engine.forge.blueprint.model import (
    Blueprint,
    Entity,
    EnumSpec,
    IntegrationKind,
    Role,
    Sector,
    Text,
)


@dataclass(frozen=True)
class Archetype:
    """One domain. Entities refer only to entities, roles and enums of the same archetype."""

    name: str
    title: Text
    sector: Sector
    compliance: tuple[str, ...]
    about: tuple[str, ...]
    cues: tuple[str, ...]
    integrations: tuple[IntegrationKind, ...]
    roles: dict[str, Role]
    enums: dict[str, EnumSpec]
    entities: dict[str, Entity]
    entity_cues: dict[str, tuple[str, ...]]
    core: tuple[str, ...]

    def blueprint(self) -> Blueprint:
        """The whole archetype, optional entities included, as a Blueprint."""
        return Blueprint.model_validate(
            {
                "name": self.name,
                "title": self.title,
                "sector": self.sector,
                "compliance": list(self.compliance),
                "roles": self.roles,
                "enums": self.enums,
                "entities": self.entities,
            }
        )


def parse(name: str, document: dict[str, Any]) -> Archetype:
    """The archetype that a loaded YAML document describes. Raises `ValueError` saying where."""
    entities = document["entities"]
    core = shorthand.names(document["core"])
    missing = [entity for entity in core if entity not in entities]
    if missing:
        raise ValueError(f"{name}: `core` names unknown entities: {', '.join(missing)}")
    return Archetype(
        name=name,
        title=Text(**document["title"]),
        sector=Sector(document["sector"]),
        compliance=tuple(document["compliance"]),
        about=tuple(text for texts in document["about"].values() for text in texts),
        cues=shorthand.cues(document["cues"]),
        integrations=tuple(map(IntegrationKind, shorthand.names(document["integrations"]))),
        roles=shorthand.roles(document["roles"]),
        enums=shorthand.enums(document["enums"]),
        entities={
            key: shorthand.entity(f"{name}.{key}", key, spec) for key, spec in entities.items()
        },
        entity_cues={key: shorthand.cues(spec.get("cues", {})) for key, spec in entities.items()},
        core=core,
    )


@lru_cache(maxsize=1)
def archetypes() -> dict[str, Archetype]:
    """Every archetype of this package by name, in alphabetical order; read once per process."""
    yaml = YAML(typ="safe")
    files = sorted(
        (file for file in resources.files(__name__).iterdir() if file.name.endswith(".yaml")),
        key=lambda file: file.name,
    )
    return {
        file.name.removesuffix(".yaml"): parse(
            file.name.removesuffix(".yaml"), yaml.load(file.read_text(encoding="utf-8"))
        )
        for file in files
    }
