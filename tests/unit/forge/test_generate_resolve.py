"""The resolved model: every name and bound decided, and what can't be decided refused."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from engine.forge.blueprint.model import Blueprint, Scope
from engine.forge.resolve import ResolvedColumn, ResolvedPlatform, resolve
from engine.forge.targets.names import identifier, sentence, singular, words
from engine.kernel.errors import InvalidInput


def platform(entities: dict[str, Any], **more: Any) -> ResolvedPlatform:
    return resolve(Blueprint.model_validate({"name": "shop", "entities": entities, **more}))


def column(**field: Any) -> ResolvedColumn:
    return platform({"Thing": {"fields": {"value": field}}}).entities[0].columns[0]


@pytest.mark.parametrize(
    ("name", "plural", "route", "table"),
    [
        ("Patient", None, "patients", "patients"),
        ("OrderItem", None, "order-items", "order_items"),
        ("Company", None, "companies", "companies"),
        ("Person", None, "people", "people"),
        ("Box", "Crates of goods", "crates-of-goods", "boxes"),
        ("Box", "../../etc", "etc", "boxes"),
        ("Box", "صناديق", "boxes", "boxes"),
    ],
)
def test_routes_follow_the_plural_and_tables_the_name(
    name: str, plural: str | None, route: str, table: str
) -> None:
    (entity,) = platform({name: {"plural": {"en": plural}}}).entities
    assert (entity.route, entity.path, entity.table) == (route, f"/api/{route}", table)


def test_entities_come_after_those_they_refer_to() -> None:
    entities = platform(
        {
            "Visit": {"relations": {"patient": {"to": "Patient", "required": True}}},
            "Patient": {"relations": {"last": {"to": "Visit"}, "twin": {"to": "Patient"}}},
        }
    ).entities
    assert [entity.name for entity in entities] == ["Patient", "Visit"]
    assert [each.deferred for each in entities[0].relations] == [True, False]


def test_a_reference_gets_no_second_index() -> None:
    visit = {
        "fields": {"day": {"type": "date"}},
        "relations": {"patient": {"to": "Patient"}},
        "indexes": [["patient"], ["patient", "day"]],
    }
    entities = platform({"Visit": visit, "Patient": {}}).entities
    assert [index.fields for index in entities[1].indexes] == [("patient_id", "day")]


def test_a_circle_of_required_relations_is_refused() -> None:
    with pytest.raises(InvalidInput, match="form a circle"):
        platform(
            {
                "Hen": {"relations": {"egg": {"to": "Egg", "required": True}}},
                "Egg": {"relations": {"hen": {"to": "Hen", "required": True}}},
            }
        )


@pytest.mark.parametrize(
    "entities",
    [
        {"HTTPCall": {}, "HttpCall": {}},
        {"Box": {"plural": {"en": "Things"}}, "Thing": {}},
        {"Users": {"plural": {"en": "Users"}}},
        {"Box": {"fields": {"lid_id": {"type": "uuid"}}, "relations": {"lid": {"to": "Box"}}}},
        {"Box": {"fields": {"owner_id": {"type": "uuid"}}}},
        {"Box": {"fields": {"class": {"type": "string"}}}},
        {"Box": {"fields": {"metadata": {"type": "string"}}}},
        {"Box": {"relations": {"lid": {"to": "Nothing"}}}},
    ],
)
def test_names_that_would_meet_are_refused_with_their_place(entities: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as caught:
        platform(entities)
    assert str(caught.value.fields["path"]).startswith("entities.")


def test_admin_may_do_everything_and_the_silent_are_allowed_nothing() -> None:
    found = platform(
        {"Box": {"access": {"clerk": {"read": "own", "create": "all"}}}},
        roles={"clerk": {}, "guest": {}},
    )
    box = found.entity("Box")
    assert [role.name for role in found.roles] == ["admin", "clerk", "guest"]
    assert set(box.access["admin"].values()) == {Scope.ALL}
    assert box.scope("clerk", "read") is Scope.OWN and box.scope("clerk", "delete") is None
    assert set(box.access["guest"].values()) == {None}


def test_a_transition_is_open_to_roles_that_can_see_the_record_only() -> None:
    found = platform(
        {
            "Box": {
                "access": {"clerk": {"read": "own"}},
                "lifecycle": {
                    "initial": "open",
                    "states": {"open": {}, "shut": {}},
                    "transitions": {
                        "shut": {"from": ["open"], "to": "shut", "roles": ["clerk", "guest"]}
                    },
                },
            }
        },
        roles={"clerk": {}, "guest": {}},
    )  # fmt: skip
    lifecycle = found.entity("Box").lifecycle
    assert lifecycle is not None
    assert lifecycle.transitions[0].roles == ("admin", "clerk")
    assert lifecycle.enum.class_name == "BoxStatus"


def test_bounds_are_effective() -> None:
    assert column(type="integer").maximum == 2**63 - 1
    assert column(type="integer", min=0.5, max=9.5).minimum == 1
    money = column(type="money", currency="KWD", min=0.0001)
    assert (money.scale, money.minimum) == (3, Decimal("0.001"))
    assert column(type="money", currency="JPY").scale == 0
    assert column(type="string", required=True).min_length == 1
    assert column(type="text", unique=True).max_length == 600


@pytest.mark.parametrize(
    ("pattern", "whole"),
    [("[A-Z]+", "^[A-Z]+$"), ("^[A-Z]+$", "^[A-Z]+$"), ("a|b", "^(?:a|b)$"), (r"\$", r"^(?:\$)$")],
)
def test_patterns_match_the_whole_text(pattern: str, whole: str) -> None:
    assert column(type="string", pattern=pattern).pattern == whole


@pytest.mark.parametrize(
    "field",
    [
        {"type": "integer", "min": 5, "max": 4},
        {"type": "integer", "min": 0.2, "max": 0.8},
        {"type": "integer", "min": float("inf")},
        {"type": "decimal", "precision": 3, "scale": 4},
        {"type": "string", "min_length": 5, "max_length": 4},
        {"type": "string", "pattern": "(?=a)b"},
        {"type": "string", "pattern": "["},
        {"type": "enum", "enum": "missing"},
        {"type": "integer", "default": 1.5},
        {"type": "integer", "default": True},
        {"type": "boolean", "default": "yes"},
        {"type": "date", "default": "2026-02-30"},
        {"type": "instant", "default": "2026-01-01T00:00:00"},
        {"type": "decimal", "scale": 2, "default": 1.234},
        {"type": "email", "default": "nobody"},
        {"type": "string", "max_length": 2, "default": "abc"},
    ],
)
def test_fields_that_no_value_fits_are_refused(field: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as caught:
        column(**field)
    assert str(caught.value.fields["path"]).startswith("entities.Thing.fields.value")


def test_defaults_are_json_values_in_their_final_form() -> None:
    assert column(type="money", currency="SAR", default=5).default == "5.00"
    assert column(type="instant", default="2026-01-31T09:30:00+03:00").default == (
        "2026-01-31T06:30:00+00:00"
    )
    assert column(type="time", default="09:30").default == "09:30:00"
    assert not column(type="string", required=True, default="x").required_on_create


def test_identifiers_stay_within_what_postgres_keeps() -> None:
    long = identifier("fk", "a" * 60, "b")
    assert len(long) == 63 and long != identifier("fk", "a" * 60, "c")


@pytest.mark.parametrize(
    ("plural", "one"),
    [("tags", "tag"), ("boxes", "box"), ("cities", "city"), ("staff", "staff"), ("glass", "glass"),
     ("status", "status"), ("old_addresses", "old_address")],
)  # fmt: skip
def test_singular(plural: str, one: str) -> None:
    assert singular(plural) == one


def test_words_and_sentences() -> None:
    assert words("HTTPOrder item-2") == ["http", "order", "item", "2"]
    assert sentence("full_name") == "Full name"


def test_no_module_hides_a_word_of_python() -> None:
    blueprint = Blueprint.model_validate({"name": "store", "entities": {"Bin": {}, "Shelf": {}}})

    assert [entity.module for entity in resolve(blueprint).entities] == ["bin_record", "shelf"]
