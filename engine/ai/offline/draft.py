"""A Blueprint in the making, with the reason for each part."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from engine.ai.analysis import Evidence
from engine.ai.archetypes import Archetype
from engine.ai.archetypes.shorthand import display
from engine.forge.blueprint.model import (
    Access,
    Entity,
    EnumSpec,
    FieldSpec,
    FieldType,
    Integration,
    Relation,
    RelationKind,
    Role,
    Text,
)
from engine.forge.blueprint.names import SYSTEM_COLUMNS, column_name

MAX_ENTITIES = 60


@dataclass
class Draft:
    """Parts are added in the order of importance; what is there already isn't replaced."""

    roles: dict[str, Role] = field(default_factory=dict)
    enums: dict[str, EnumSpec] = field(default_factory=dict)
    entities: dict[str, Entity] = field(default_factory=dict)
    integrations: dict[str, Integration] = field(default_factory=dict)
    evidence: dict[str, Evidence] = field(default_factory=dict)
    assumptions: list[Text] = field(default_factory=list)
    used: list[Archetype] = field(default_factory=list)

    def assume(self, en: str, ar: str) -> None:
        text = Text(en=en[:200], ar=ar[:200])
        if text not in self.assumptions and len(self.assumptions) < 100:
            self.assumptions.append(text)

    def use(self, archetype: Archetype, names: list[str]) -> None:
        """Take these entities of an archetype, with the roles and enums that they need."""
        self.used.append(archetype)
        for name in archetype.entities:
            if name in names:
                self.take(archetype, name)

    def take(self, archetype: Archetype, name: str) -> None:
        """Take one entity, and first every other one that a record of it requires."""
        if name in self.entities:
            self._widen(name, archetype.entities[name], archetype)
            return
        entity = archetype.entities[name]
        self.entities[name] = entity
        self.evidence[name] = Evidence(source="archetype", detail=archetype.name)
        self._needs(archetype, entity)
        for relation in entity.relations.values():
            if relation.required and relation.to not in self.entities:
                self.take(archetype, relation.to)

    def _needs(self, archetype: Archetype, entity: Entity) -> None:
        for role in entity.access:
            self.roles.setdefault(role, archetype.roles[role])
        for spec in entity.fields.values():
            if spec.enum:
                self.enums.setdefault(spec.enum, archetype.enums[spec.enum])

    def _widen(self, name: str, other: Entity, archetype: Archetype) -> None:
        """Two domains share this entity: the second one adds what only it has."""
        mine = self.entities[name]
        new_fields = {
            key: spec.model_copy(update={"required": False})
            for key, spec in other.fields.items()
            if key not in mine.fields and key not in mine.relations
        }
        access = {key: rule for key, rule in other.access.items() if key not in mine.access}
        relations = {
            key: rule.model_copy(update={"required": False, "on_delete": "restrict"})
            for key, rule in other.relations.items()
            if key not in mine.relations and key not in mine.fields and rule.to in self.entities
        }
        self._needs(archetype, other)
        self._change(
            name,
            fields={**mine.fields, **new_fields},
            access={**mine.access, **access},
            relations={**mine.relations, **relations},
        )

    def _change(self, name: str, **parts: Any) -> None:
        self.entities[name] = self.entities[name].model_copy(update=parts)

    def add_entity(self, name: str, entity: Entity, span: str) -> None:
        if name not in self.entities and len(self.entities) < MAX_ENTITIES:
            self.entities[name] = entity
            self.evidence[name] = Evidence(source="text", detail=span[:200])

    def add_field(self, owner: str, name: str, spec: FieldSpec) -> bool:
        """Add a field unless one of that name, or its column, is there. True if it was added."""
        entity = self.entities[owner]
        columns = {column_name(key) for key in entity.relations}
        taken = {*entity.fields, *entity.relations, *columns, *SYSTEM_COLUMNS}
        if entity.lifecycle:
            taken.add(entity.lifecycle.field)
        if name.replace("_", "") in {one.replace("_", "") for one in taken}:
            return False
        if len(entity.fields) >= 60:
            return False
        self._change(owner, fields={**entity.fields, name: spec})
        return True

    def relate(self, owner: str, to: str, relation: str, *, many: bool = False) -> None:
        """A relation from `owner` to `to`, unless the two are related already."""
        entity = self.entities[owner]
        if owner == to or self.related(owner, to) or len(entity.relations) >= 25:
            return
        name = relation
        taken = {*entity.fields, *entity.relations}
        if name in taken or column_name(name) in taken:
            name = f"{relation}_link"
        kind = RelationKind.MANY_TO_MANY if many else RelationKind.MANY_TO_ONE
        link = Relation(to=to, kind=kind, title=self.entities[to].title)
        self._change(owner, relations={**entity.relations, name: link})

    def related(self, one: str, other: str) -> bool:
        pairs = ((one, other), (other, one))
        return any(
            relation.to == b for a, b in pairs for relation in self.entities[a].relations.values()
        )

    def allow(self, entity: str, role: str, access: Access) -> None:
        """Give a role access; what it may do already stays."""
        mine = self.entities[entity].access
        old = mine.get(role, Access())
        merged = Access(
            create=old.create or access.create,
            read=old.read or access.read,
            update=old.update or access.update,
            delete=old.delete or access.delete,
        )
        self._change(entity, access={**mine, role: merged})

    def drop(self, names: set[str]) -> None:
        """Remove entities, and those that can't be without them, and relations to them."""
        gone = names & set(self.entities)
        grown = True
        while grown:
            grown = False
            for name, entity in self.entities.items():
                needs = {rule.to for rule in entity.relations.values() if rule.required}
                if name not in gone and needs & gone:
                    gone.add(name)
                    grown = True
        if len(gone) == len(self.entities):
            return
        for name in gone:
            del self.entities[name]
            self.evidence.pop(name, None)

    def finish(self) -> None:
        """Leave no loose end: relations lead somewhere, every role and enum is used."""
        for name, entity in self.entities.items():
            kept = {k: rule for k, rule in entity.relations.items() if rule.to in self.entities}
            shown = entity.display if entity.display in entity.fields else display(entity.fields)
            self._change(name, relations=kept, display=shown)
        enums = {spec.enum for one in self.entities.values() for spec in one.fields.values()}
        self.enums = {name: spec for name, spec in self.enums.items() if name in enums}
        roles = {role for one in self.entities.values() for role in one.access}
        self.roles = {name: role for name, role in self.roles.items() if name in roles}

    def leave_out(self, path: tuple[str | int, ...]) -> bool:
        """Remove the part that a finding of the checks is about. False if that isn't possible."""
        if len(path) < 2 or path[0] != "entities" or path[1] not in self.entities:
            return False
        name = str(path[1])
        if len(path) > 3 and path[2] in {"fields", "relations"}:
            parts = dict(getattr(self.entities[name], str(path[2])))
            if parts.pop(path[3], None) is not None:
                self._change(name, **{str(path[2]): parts})
                return True
        if len(self.entities) == 1 or self.evidence[name].source != "text":
            return False
        self.drop({name})
        return name not in self.entities

    def has_type(self, entity: str, *types: FieldType) -> bool:
        return any(spec.type in types for spec in self.entities[entity].fields.values())
