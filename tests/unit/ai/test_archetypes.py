from __future__ import annotations

from collections.abc import Iterator

import pytest

from engine.ai.archetypes import Archetype, archetypes, parse, shorthand
from engine.ai.lexicon.arabic import is_arabic
from engine.forge.blueprint.checks import check
from engine.forge.blueprint.model import Blueprint, RelationKind, Text

LIBRARY = archetypes()
REQUIRED = {
    "clinic", "school", "municipal-permits", "e-commerce", "invoicing", "logistics", "hotel",
    "charity", "human-resources", "help-desk", "real-estate", "restaurant", "library", "events",
    "bank-onboarding", "field-service", "gym", "car-rental", "law-office",
}  # fmt: skip


def every_text(blueprint: Blueprint) -> Iterator[tuple[str, Text]]:
    yield "title", blueprint.title
    for name, role in blueprint.roles.items():
        yield name, role.title
    for name, spec in blueprint.enums.items():
        yield name, spec.title
        yield from spec.values.items()
    for name, entity in blueprint.entities.items():
        yield name, entity.title
        yield f"{name} (plural)", entity.plural
        for key, field in entity.fields.items():
            yield f"{name}.{key}", field.title
        for key, relation in entity.relations.items():
            yield f"{name}.{key}", relation.title
        if entity.lifecycle:
            for key, state in entity.lifecycle.states.items():
                yield f"{name}.{key}", state.title
            for key, move in entity.lifecycle.transitions.items():
                yield f"{name}.{key}", move.title


def test_the_library_covers_the_domains() -> None:
    assert set(LIBRARY) >= REQUIRED
    assert len(LIBRARY) >= 18


@pytest.mark.parametrize("archetype", LIBRARY.values(), ids=LIBRARY)
class TestEachArchetype:
    def test_it_is_a_valid_blueprint_without_any_finding(self, archetype: Archetype) -> None:
        assert [finding.message for finding in check(archetype.blueprint())] == []

    def test_every_word_is_bilingual(self, archetype: Archetype) -> None:
        for place, text in every_text(archetype.blueprint()):
            assert text.en and not is_arabic(text.en), place
            assert text.ar and (is_arabic(text.ar) or text.ar in {"O+", "O-"}), place

    def test_it_has_the_expected_substance(self, archetype: Archetype) -> None:
        assert 5 <= len(archetype.entities) <= 9
        assert 2 <= len(archetype.core) <= 6
        assert len(archetype.roles) >= 2
        assert any(entity.lifecycle for entity in archetype.entities.values())
        assert any(entity.relations for entity in archetype.entities.values())
        for name, entity in archetype.entities.items():
            assert entity.access, name
            assert len(entity.fields) >= 1, name

    def test_it_can_be_found_in_both_languages(self, archetype: Archetype) -> None:
        arabic = [text for text in archetype.about if is_arabic(text)]
        assert len(arabic) >= 3
        assert len(archetype.about) - len(arabic) >= 3
        assert sum(map(is_arabic, archetype.cues)) >= 8
        assert sum(not is_arabic(cue) for cue in archetype.cues) >= 8

    def test_the_core_stands_alone(self, archetype: Archetype) -> None:
        for name in archetype.core:
            for key, relation in archetype.entities[name].relations.items():
                if relation.required:
                    assert relation.to in archetype.core, f"{name}.{key}"

    def test_people_who_sign_up_own_what_they_create(self, archetype: Archetype) -> None:
        """A role with self-registration that may create a record sees its own at least."""
        for name, entity in archetype.entities.items():
            for role, access in entity.access.items():
                if archetype.roles[role].self_registration and access.create:
                    assert access.read, f"{name}: {role}"


def test_the_short_form_reads_as_documented() -> None:
    entity = shorthand.entity(
        "test.Lease",
        "Lease",
        {
            "fields": "contract_number!*, payments_per_year!=2, active=true",
            "links": "tenant->Tenant! cascade, site=>Site set_null, tags->>Task",
            "access": "broker CRUD, tenant Cr",
            "states": "draft, active, expired",
            "moves": {"activate": "draft expired -> active by broker tenant"},
        },
    )
    assert entity.fields["contract_number"].required and entity.fields["contract_number"].unique
    assert entity.fields["payments_per_year"].default == 2
    assert entity.fields["active"].default is True
    assert [relation.kind for relation in entity.relations.values()] == [
        RelationKind.MANY_TO_ONE,
        RelationKind.ONE_TO_ONE,
        RelationKind.MANY_TO_MANY,
    ]
    assert entity.relations["tenant"].on_delete == "cascade"
    tenant = entity.access["tenant"]
    assert (tenant.create, tenant.read, tenant.update) == ("all", "own", None)
    assert entity.lifecycle is not None and entity.lifecycle.initial == "draft"
    assert entity.lifecycle.transitions["activate"].from_ == ["draft", "expired"]
    assert entity.display == "contract_number"


@pytest.mark.parametrize(
    "change",
    [
        {"fields": "no_such_field"},
        {"fields": "name?"},
        {"links": "tenant=>"},
        {"access": "broker XY"},
        {"access": "broker c"},
        {"states": "draft", "moves": {"activate": "draft to active"}},
    ],
)
def test_a_slip_in_the_short_form_names_its_place(change: dict[str, object]) -> None:
    spec = {"fields": "name!", "access": "broker CRUD", **change}
    with pytest.raises(ValueError, match=r"test\.Lease"):
        shorthand.entity("test.Lease", "Lease", spec)


def test_a_core_entity_must_exist() -> None:
    with pytest.raises(ValueError, match="Ghost"):
        parse("haunted", {"entities": {}, "core": "Ghost"})
