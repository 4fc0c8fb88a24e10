"""The one place where a draft becomes a Blueprint that its checks accept."""

from __future__ import annotations

from dataclasses import dataclass

from engine.forge.blueprint.checks import MAX_PATTERNS
from engine.forge.blueprint.model import (
    MAX_ENTITIES,
    MAX_FIELDS,
    Blueprint,
    Entity,
    EnumSpec,
    FieldSpec,
    FieldType,
    Relation,
    Text,
)
from engine.forge.blueprint.names import SYSTEM_COLUMNS
from engine.forge.formats.building.enums import build_enums
from engine.forge.formats.building.fields import field_spec
from engine.forge.formats.building.joins import fold_joins, is_time
from engine.forge.formats.building.keys import settle_keys
from engine.forge.formats.building.names import (
    LONGEST_TITLE,
    Scope,
    entity_scope,
    letters,
    member,
    prose,
    reserved_member,
    says_more,
    slug,
    title,
    type_name,
)
from engine.forge.formats.building.pruning import prune
from engine.forge.formats.building.relations import Members, build_relation
from engine.forge.formats.building.sets import Columns, Sets
from engine.forge.formats.building.tracking import Tracks
from engine.forge.formats.draft import Draft, DraftEntity
from engine.forge.formats.report import Note, Report, report_of
from engine.kernel.errors import InvalidInput

_SPLIT = "Split the entity."
_ACCESS = Text(
    en="The source says nothing of rights: only administrators may do anything yet.",
    ar="المصدر لا يذكر الصلاحيات: كل شيء لمدير النظام وحده حتى الآن.",
)


@dataclass(frozen=True, slots=True)
class Imported:
    """A Blueprint made from a foreign source, and the account of every construct of it."""

    blueprint: Blueprint
    report: Report


def build(draft: Draft, name: str | None = None) -> Imported:
    """The Blueprint of a draft, which is used up by it. `name` is that of the platform.

    The result passes `checks` and can be generated from. Equal drafts give equal results. Raises
    `InvalidInput` when nothing is left that could be an entity, or more than a Blueprint holds.
    """
    fold_joins(draft)
    if len(draft.entities) > MAX_ENTITIES:
        raise InvalidInput(
            f"The source declares {len(draft.entities)} kinds of record; a Blueprint has at most "
            f"{MAX_ENTITIES}.",
            mend="Import a part of it: every platform has a database of its own.",
        )
    if not draft.entities:
        raise InvalidInput(
            "The source declares nothing that records could be kept of.",
            mend="Check that it is of the format that you named.",
        )
    return _Builder(draft).built(name)


class _Builder:
    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.tracks = Tracks()
        self.types: dict[str, str] = {}
        self.enums: dict[str, tuple[str, dict[str, str]]] = {}
        self.specs: dict[str, EnumSpec] = {}
        self.around = Blueprint.model_construct(name="draft", entities={})
        self.columns: dict[str, Columns] = {}
        self.patterns = 0

    def built(self, name: str | None) -> Imported:
        draft = self.draft
        self._name_entities()
        self.specs, self.enums = build_enums(draft, self.tracks, list(self.types.values()))
        self.around = Blueprint.model_construct(name="draft", entities={}, enums=self.specs)
        for entity in draft.entities:
            settle_keys(draft, entity, self.types[entity.name])
        entities = {self.types[entity.name]: self._entity(entity) for entity in draft.entities}
        heading = draft.title or ""
        blueprint = Blueprint(
            name=name or slug(draft.name or draft.title),
            title=title(heading),
            description=prose(draft.description),
            enums=self.specs,
            entities=entities,
            assumptions=[_ACCESS],
        )
        blueprint = prune(blueprint, self.tracks)
        blueprint = Sets(draft, self.types, self.columns).added_to(blueprint)
        self.tracks.tell(draft)
        return Imported(blueprint, report_of(draft.format, draft.entries))

    def _name_entities(self) -> None:
        scope = entity_scope()
        for entity in self.draft.entities:
            wished = type_name(entity.name, is_plural=entity.plural)
            name, why = scope.take(wished, f"{wished[:34]}Record")
            notes = list(entity.notes)
            if why:
                notes.append(Note(f"it is called `{name}` because {why}"))
            self.types[entity.name] = name
            self.tracks.add((entity.word, entity.name), entity.place, ("entities", name), notes)

    def _entity(self, draft: DraftEntity) -> Entity:
        name = self.types[draft.name]
        members = Members(
            name,
            Scope(
                SYSTEM_COLUMNS,
                reserved=lambda word: reserved_member(word, column=True),
            ),
        )
        columns = self.columns[name] = Columns()
        held = {column for relation in draft.relations for column in relation.columns}
        fields: dict[str, FieldSpec] = {}
        for field in draft.fields:
            if field.name in held or self._is_built_in(draft, name, field.name):
                continue
            if (known := self._field(draft, members, field.name, fields)) is not None:
                columns.single[field.name] = known
        relations: dict[str, Relation] = {}
        for relation in draft.relations:
            known = build_relation(relation, draft, members, relations, self.types, self.tracks)
            if known is not None and len(relation.columns) == 1:
                columns.single.setdefault(relation.columns[0], known)
            elif known is not None and relation.columns:
                columns.wide.setdefault(frozenset(relation.columns), known)
        about = draft.label
        if isinstance(about, str) and len(about) > LONGEST_TITLE:
            self._note(("entities", name), f"its text is cut to {LONGEST_TITLE} characters")
        called = title(draft.name) if says_more(draft.name, member(name)) else Text()
        return Entity(title=called, description=title(about), fields=fields, relations=relations)

    def _note(self, path: tuple[str, ...], reason: str) -> None:
        for tracked in self.tracks.nearest(path)[:1]:
            tracked.notes.append(Note(reason))

    def _field(
        self, draft: DraftEntity, members: Members, source: str, fields: dict[str, FieldSpec]
    ) -> str | None:
        """Add the field that `source` becomes, and give its name if it becomes one."""
        field = draft.find(source)
        assert field is not None
        what = (field.word, f"{draft.name}.{source}")
        if len(fields) >= MAX_FIELDS:
            message = f"an entity has at most {MAX_FIELDS} fields"
            self.draft.drop(*what, field.place, message, _SPLIT)
            return None
        enum = self.enums.get(field.enum) if field.enum else None
        if field.type is FieldType.ENUM and enum is None:
            field.type, field.enum = FieldType.STRING, None
            field.note(
                "its values can't be an enum of the language, so that any text is taken",
                "Limit them with a pattern.",
            )
        if field.constraints.get("pattern") is not None:
            self.patterns += 1
            if self.patterns > MAX_PATTERNS:
                del field.constraints["pattern"]
                field.note(f"a Blueprint has at most {MAX_PATTERNS} patterns; its own is left out")
        wished = member(source, "field")
        other = f"{wished[:34]}_value"
        name, why = members.scope.take(wished, other)
        spec, notes = field_spec(field, name, self.around, enum)
        if why:
            notes.append(Note(f"it is called `{name}` because {why}"))
        fields[name] = spec
        self.tracks.add(what, field.place, ("entities", members.entity, "fields", name), notes)
        return name

    def _is_built_in(self, draft: DraftEntity, entity: str, source: str) -> bool:
        """Whether the platform keeps this field of every record by itself; then it is told so."""
        field = draft.find(source)
        assert field is not None
        known = letters(member(source, "field"))
        if known in ("createdat", "updatedat") and is_time(field.type):
            reason = f"every record has its `{known[:7]}_at` already, kept by the platform"
        elif known == "ownerid" and field.type is FieldType.UUID and _has_all(draft):
            reason = "every record has its `owner_id` already, kept by the platform"
        elif known == "id":
            if field.type is FieldType.UUID:
                what = (field.word, f"{draft.name}.{source}")
                self.tracks.add(what, field.place, ("entities", entity), field.notes)
                return True
            reason = f"every record has an `id` already, a UUID instead of {field.type.value}"
        else:
            return False
        self.tracks.add(
            (field.word, f"{draft.name}.{source}"),
            field.place,
            ("entities", entity),
            [*field.notes, Note(reason)],
        )
        return True


def _has_all(draft: DraftEntity) -> bool:
    """Whether the entity has every built-in field, as tables of a platform do."""
    names = {letters(member(field.name, "field")) for field in draft.fields}
    return names >= {letters(name) for name in SYSTEM_COLUMNS}
