"""Names and what they become."""

from __future__ import annotations

import keyword

import pytest

from engine.forge.blueprint.names import (
    SYSTEM_COLUMNS,
    class_name,
    link_table,
    plural,
    snake_case,
    state_class,
    table_name,
)
from engine.forge.blueprint.source import load
from tests.unit.forge.blueprints import entity_with, problems


@pytest.mark.parametrize(
    ("name", "snake", "table"),
    [
        ("OrderItem", "order_item", "order_items"),
        ("HTTPServer", "http_server", "http_servers"),
        ("A", "a", "as"),
        ("Iso9001Audit", "iso9001_audit", "iso9001_audits"),
        ("Category", "category", "categories"),
        ("Holiday", "holiday", "holidays"),
        ("TaxClass", "tax_class", "tax_classes"),
        ("Box", "box", "boxes"),
        ("Branch", "branch", "branches"),
        ("ContactPerson", "contact_person", "contact_people"),
        ("Diagnosis", "diagnosis", "diagnoses"),
    ],
)
def test_forms_of_an_entity_name(name: str, snake: str, table: str) -> None:
    assert snake_case(name) == snake
    assert table_name(name) == table == plural(snake)


def test_other_forms() -> None:
    assert class_name("blood_type") == "BloodType"
    assert link_table("OrderItem", "tags") == "order_item_tags"
    assert state_class("Order", "status") == "OrderStatus"


@pytest.mark.parametrize(
    "name",
    [
        *SYSTEM_COLUMNS,
        *sorted(word for word in keyword.kwlist if word.islower()),
        *("select", "order", "group", "table", "user", "end", "check", "desc", "limit", "offset"),
        *("metadata", "registry", "schema", "copy", "json", "dict", "validate", "construct"),
        *("model_config", "model_dump", "model_anything", "str", "int", "list", "self", "sort"),
    ],
)
def test_reserved_field_names(name: str) -> None:
    found = problems(entity_with(f"{{fields: {{{name}: {{type: string}}}}}}"))
    assert [p["path"] for p in found] == [f"entities.Thing.fields.{name}"]
    assert f"`{name}`" in found[0]["message"]


@pytest.mark.parametrize(
    "name",
    ["type", "date", "time", "name", "status", "title", "order_no", "hash", "match", "copied"],
)
def test_ordinary_field_names(name: str) -> None:
    load(entity_with(f"{{fields: {{{name}: {{type: string}}}}}}"))


@pytest.mark.parametrize("name", ["order", "user", "table", "group", "check"])
def test_words_of_sql_are_fine_where_the_column_differs(name: str) -> None:
    load(entity_with(f"{{relations: {{{name}: {{to: Thing}}}}}}"))


@pytest.mark.parametrize(
    "name", ["from", "class", "metadata", "owner", "doctor_id", "tag_ids", "id"]
)
def test_reserved_relation_names(name: str) -> None:
    found = problems(entity_with(f"{{relations: {{{name}: {{to: Thing}}}}}}"))
    assert {p["path"] for p in found} == {f"entities.Thing.relations.{name}"}


@pytest.mark.parametrize(
    "name",
    ["User", "Token", "Base", "Role", "Session", "Enum", "Any", "None", "True", "Exception",
     "ValueError", "BaseModel", "Field", "Text", "Date", "Con", "NUL", "Com1"],
)  # fmt: skip
def test_reserved_entity_names(name: str) -> None:
    [problem] = problems(f"name: shop\nentities:\n  {name}: {{}}\n")
    assert problem["path"] == f"entities.{name}"
    assert problem["suggestion"] == f"{name}Record"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("OrderItem", "Orderitem"),
        ("OrderItem", "ORDERITEM"),
        ("Order", "Orders"),
        ("Category", "Categories"),
        ("Patient", "PatientCreate"),
        ("Person", "People"),
    ],
)
def test_entities_that_would_meet(first: str, second: str) -> None:
    [problem] = problems(f"name: shop\nentities:\n  {first}: {{}}\n  {second}: {{}}\n")
    assert problem["path"] == f"entities.{second}"
    assert first in problem["message"]


def test_a_given_plural_names_the_table() -> None:
    text = "name: shop\nentities:\n  Patient: {}\n  Sick: {plural: {en: Patients}}\n"
    assert problems(text)[0]["path"] == "entities.Sick"
    assert "`users`" in problems(entity_with("{plural: {en: Users}}"))[0]["message"]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ("{fields: {full_name: {type: text}, fullname: {type: text}}}", "fields.fullname"),
        ("{fields: {a1: {type: text}}, relations: {a1: {to: Thing}}}", "relations.a1"),
        (
            "{fields: {doctor_id: {type: text}}, relations: {doctor: {to: Thing}}}",
            "relations.doctor",
        ),
        (
            "{fields: {status: {type: text}}, lifecycle: {initial: a, states: {a: {}}}}",
            "lifecycle.field",
        ),
        ("{lifecycle: {field: order, initial: a, states: {a: {}}}}", "lifecycle.field"),
        ("{lifecycle: {initial: ab, states: {ab: {}, a_b: {}}}}", "lifecycle.states.a_b"),
    ],
)
def test_members_that_would_meet(body: str, path: str) -> None:
    found = problems(entity_with(body))
    assert [p["path"] for p in found] == [f"entities.Thing.{path}"]


@pytest.mark.parametrize(
    "name", ["create", "delete", "list", "return", "import", "history", "peer"]
)
def test_transition_names_that_would_meet_an_address(name: str) -> None:
    body = (
        "{relations: {peer: {to: Thing}}, lifecycle: {initial: a, states: {a: {}},"
        f" transitions: {{{name}: {{from: [a], to: a}}}}}}}}"
    )
    [problem] = problems(entity_with(body))
    assert problem["path"] == f"entities.Thing.lifecycle.transitions.{name}"
    assert problem["suggestion"] == f"{name}_thing"


def test_enums_entities_and_lifecycles_share_one_space_of_classes() -> None:
    enums = "enums: {%s: {values: {a1: {}}}}\n"
    one = "entities: {BloodType: {fields: {x1: {type: enum, enum: blood_type}}}}\n"
    [problem] = problems("name: xx\n" + enums % "blood_type" + one)
    assert (problem["path"], problem["suggestion"]) == ("enums.blood_type", "blood_type_kind")
    [problem] = problems("name: xx\n" + enums % "role" + one.replace("blood_type", "role"))
    assert problem["path"] == "enums.role"
    states = "{lifecycle: {initial: a1, states: {a1: {}}}}"
    [problem] = problems(f"name: xx\nentities: {{Order: {states}, OrderStatus: {{}}}}")
    assert problem["path"] == "entities.Order.lifecycle.field"


def test_the_table_of_a_many_to_many_relation() -> None:
    text = (
        "name: xx\nentities:\n  Order: {relations: {items: {to: OrderItem, kind: many_to_many}}}\n"
        "  OrderItem: {}\n"
    )
    [problem] = problems(text)
    assert problem["path"] == "entities.Order.relations.items"
    assert "`order_items`" in problem["message"]
    long = "A" + "b" * 39
    text = f"name: xx\nentities: {{{long}: {{relations: {{{'c' * 30}: {{to: {long}, kind: many_to_many}}}}}}}}"  # noqa: E501
    assert "63" in problems(text)[0]["message"]


def test_platform_and_role_names() -> None:
    assert problems("name: con\nentities: {Thing: {}}")[0]["path"] == "name"
    found = problems("name: xx\nroles: {class: {}, sales_team: {}, salesteam: {}}\n"
                     "entities: {Thing: {access: {sales_team: {read: all}}}}")  # fmt: skip
    assert [p["path"] for p in found] == ["roles.class", "roles.salesteam"]
