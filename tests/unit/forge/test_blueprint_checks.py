"""What makes sense in a Blueprint and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from engine.forge.blueprint.checks import MAX_PATTERNS, check, errors
from engine.forge.blueprint.model import Blueprint
from engine.forge.blueprint.source import load
from tests.unit.forge.blueprints import SMALL, entity_with, field_with, problems, small

THING = "entities.Thing"
VALUE = f"{THING}.fields.value"


def _warnings(text: str) -> list[tuple[str, str]]:
    return [(w.path, w.message) for w in load(text).warnings]


@pytest.mark.parametrize(
    ("field", "path", "words"),
    [
        ("{type: string, min: 1}", "min", "doesn't apply to type `string`"),
        ("{type: integer, max_length: 1}", "max_length", "doesn't apply"),
        ("{type: boolean, pattern: a}", "pattern", "doesn't apply"),
        ("{type: date, enum: size}", "enum", "doesn't apply"),
        ("{type: integer, scale: 2}", "scale", "only to `decimal`"),
        ("{type: decimal, currency: SAR}", "currency", "only to `money`"),
        ("{type: integer, min: 3, max: 2}", "min", "above `max`"),
        ("{type: integer, min: 0.5}", "min", "whole number"),
        ("{type: integer, max: 1e300}", "max", "exact"),
        ("{type: string, min_length: 3, max_length: 2}", "min_length", "above `max_length`"),
        ("{type: decimal, precision: 2, scale: 3}", "scale", "above `precision`"),
        ("{type: decimal, precision: 3, scale: 1, max: 100}", "max", "3 digits"),
        ("{type: decimal, scale: 2, min: 0.001, max: 0.004}", "", "no number lies between"),
        ("{type: enum}", "enum", "needs `enum`"),
        ("{type: money, currency: SRA}", "currency", "ISO 4217"),
        ("{type: integer, default: 1.5}", "default", "whole number"),
        ("{type: integer, default: true}", "default", "whole number"),
        ("{type: integer, default: 9223372036854775808}", "default", "64 bits"),
        ("{type: integer, min: 3, default: 2}", "default", "below `min`"),
        ("{type: integer, max: 3, default: 4}", "default", "above `max`"),
        ("{type: decimal, scale: 1, default: 0.25}", "default", "digits after the point"),
        ("{type: boolean, default: 1}", "default", "`true` or `false`"),
        ("{type: boolean, default: yes}", "default", "`true` or `false`"),
        ("{type: string, default: 5}", "default", "a text"),
        ("{type: string, max_length: 2, default: abc}", "default", "longer than 2"),
        ("{type: string, min_length: 2, default: a}", "default", "shorter than"),
        ('{type: string, pattern: "[A-Z]+", default: Ab}', "default", "match the pattern"),
        ('{type: string, pattern: "a|b", default: ab}', "default", "match the pattern"),
        ("{type: date, default: 2026-02-30}", "default", "a date"),
        ("{type: date, default: 20260101}", "default", "a date"),
        ("{type: time, default: '25:00'}", "default", "a time"),
        ("{type: instant, default: 2026-01-31T09:30:00}", "default", "zone"),
        ("{type: uuid, default: x}", "default", "UUID"),
        ("{type: email, default: me}", "default", "email"),
        ("{type: phone, default: hello}", "default", "phone"),
        ("{type: url, default: 'javascript:alert(1)'}", "default", "http"),
        ("{type: enum, enum: size, default: smal}", "default", "`small`"),
        ("{type: enum, enum: size, default: 3}", "default", "not a value of enum"),
        ("{type: string, data_class: secret, default: x}", "default", "secret"),
    ],
)
def test_constraints_fit_the_type_and_each_other(field: str, path: str, words: str) -> None:
    [problem] = problems(field_with(field))
    assert problem["path"] == (f"{VALUE}.{path}" if path else VALUE)
    assert words in problem["message"]


@pytest.mark.parametrize(
    "field",
    [
        "{type: integer, min: -5, max: -5, default: -5}",
        "{type: decimal, precision: 4, scale: 2, min: 0, max: 99.99, default: 0.25}",
        "{type: money, currency: KWD, default: 0.125}",
        '{type: string, pattern: "[A-Z]{2}-[0-9]{4,8}", default: AB-1234}',
        "{type: string, min_length: 0, max_length: 3, default: أبج}",
        "{type: date, default: 2024-02-29}",
        "{type: time, default: 23:59:59}",
        "{type: instant, default: 2026-01-31T09:30:00+03:00}",
        "{type: uuid, default: 00000000-0000-4000-8000-000000000000}",
        "{type: email, default: me@example.com}",
        "{type: phone, default: '+966501234567'}",
        "{type: url, default: 'https://example.com/a?b=c'}",
        "{type: enum, enum: size, default: small}",
        "{type: boolean, default: false}",
    ],
)
def test_fitting_constraints_pass(field: str) -> None:
    assert errors(load(field_with(field)).blueprint) == []


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+$",
        "(a*)*",
        "([a-z]+)*x",
        "(a|a)*b",
        "(?:a|ab)+",
        "((a{1,5})b){2,9}",
        "(.*){3}",
        "(a?){50}",
        "(?:(?:x|y)z)*",
        r"(\d+)(-\1)",
        "(?=a)b",
        "(?!a)b",
        "(?<=a)b",
        "(?i)a",
        "(?P<n>a)",
        "(?>a)",
        "a++",
        r"a\Bb",
        r"a\Z",
        "[[a]b]",
        "[a&&b]",
        "a{,5}",
        r"\w{999}",
        "(a{500}){500}",
        ".*.*.*.*.*.*.*x",
        "(",
        "[z-a]",
        "a{99999999999}",
        "*",
        "a)",
    ],
)
def test_patterns_that_could_take_ages_or_mean_different_things(pattern: str) -> None:
    quoted = pattern.replace("'", "''")
    [problem] = problems(field_with(f"{{type: string, pattern: '{quoted}'}}"))
    assert problem["path"] == f"{VALUE}.pattern"


@pytest.mark.parametrize(
    "pattern",
    [
        "[A-Z]{2}-[0-9]{4,8}",
        r"\+966\d{9}",
        "([0-9]{3}-){2}[0-9]{4}",
        "(INV|CRN)-20[0-9]{2}",
        "(?:foo|bar){2}",
        "[^@ ]+@[^@ ]+",
        "[a-z]+( [a-z]+)?",
        r"\w{2,40}",
        "[\u0621-\u064a ]+",
        "^abc$",
        "",
        r"[\]\[-]\(\)\{\}",
    ],
)
def test_ordinary_patterns_pass(pattern: str) -> None:
    load(field_with(f"{{type: string, pattern: '{pattern}'}}"))


def test_too_many_patterns_are_one_error() -> None:
    entities = "".join(
        f"  E{i}: {{fields: {{"
        + ", ".join(f"f{j}: {{type: string, pattern: a}}" for j in range(100))
        + "}}\n"
        for i in range(MAX_PATTERNS // 100 + 1)
    )
    [problem] = problems("name: xx\nentities:\n" + entities)
    assert problem["path"] == "entities" and str(MAX_PATTERNS) in problem["message"]


def _relations(**relations: str) -> str:
    """One entity per keyword, whose value is the flow text of its relations."""
    lines = [f"  {name}: {{relations: {{{body}}}}}" for name, body in relations.items()]
    return "name: shop\nentities:\n" + "\n".join(lines) + "\n"


def test_required_relations_may_not_lead_back() -> None:
    text = _relations(
        Order="lines: {to: Invoice, required: true}",
        Invoice="receipt: {to: Receipt, kind: one_to_one, required: true}",
        Receipt="orders: {to: Order, kind: many_to_many, required: true}",
        Other="order_one: {to: Order, required: true}",
    )
    [problem] = problems(text)
    assert problem["path"] == "entities.Receipt.relations.orders.required"
    assert "Order → Invoice → Receipt → Order" in problem["message"]
    load(text.replace("receipt: {to: Receipt, kind: one_to_one, required: true}", ""))


def test_a_record_may_not_require_itself() -> None:
    [problem] = problems(_relations(Node="parent: {to: Node, required: true}"))
    assert problem["path"] == "entities.Node.relations.parent.required"
    load(_relations(Node="parent: {to: Node}"))


def test_every_cycle_is_named_once() -> None:
    need = "one: {to: %s, required: true}"
    text = _relations(**{n: need % to for n, to in [("Ax", "Bx"), ("Bx", "Ax"), ("Cx", "Dx"),
                                                    ("Dx", "Cx"), ("Ex", "Ax")]})  # fmt: skip
    assert [p["path"] for p in problems(text)] == [
        "entities.Bx.relations.one.required",
        "entities.Dx.relations.one.required",
    ]


def test_a_way_into_a_cycle_is_not_part_of_it() -> None:
    need = "one: {to: %s, required: true}"
    [problem] = problems(_relations(Entry=need % "Left", Left=need % "Right", Right=need % "Left"))
    assert "Left → Right → Left" in problem["message"] and "Entry" not in problem["message"]


def test_many_ways_to_one_record_are_walked_once() -> None:
    both = "one: {to: E%d, required: true}, two: {to: E%d, required: true}"
    load(_relations(**{f"E{i}": both % (i + 1, i + 1) for i in range(60)}, E60=""))


def test_a_long_chain_of_requirements_is_fine_until_it_closes() -> None:
    chain = {f"E{i}": f"next_one: {{to: E{i + 1}, required: true}}" for i in range(199)}
    load(_relations(**chain, E199=""))
    [problem] = problems(_relations(**chain, E199="next_one: {to: E0, required: true}"))
    assert problem["path"] == "entities.E199.relations.next_one.required"


def test_on_delete_fits_the_relation() -> None:
    base = "other: {to: Bx, required: true, on_delete: set_null}"
    [problem] = problems(_relations(Ax=base, Bx=""))
    assert (problem["path"], problem["suggestion"]) == (
        "entities.Ax.relations.other.on_delete",
        "restrict",
    )
    many = "others: {to: Bx, kind: many_to_many, on_delete: cascade}"
    assert "many_to_many" in problems(_relations(Ax=many, Bx=""))[0]["message"]


def test_admin_exists_without_being_declared() -> None:
    text = SMALL.replace("roles: [doctor]", "roles: [doctor, admin]")
    assert load(text).warnings == ()
    [problem] = problems(SMALL.replace("  doctor: {}", "  admin: {}\n  doctor: {}"))
    assert problem["path"] == "roles.admin"
    own = SMALL.replace("doctor: {create: all,", "admin: {read: own}\n      doctor: {create: all,")
    [(path, message)] = _warnings(own)
    assert path == "entities.Patient.access.admin" and "already" in message


def test_rights_that_reach_further_than_reading_are_warned_about() -> None:
    [(path, message)] = _warnings(
        SMALL.replace("{create: all, read: all, update: own}", "{read: own, delete: all}")
    )
    assert path == "entities.Patient.access.doctor.delete" and "widen `read`" in message
    blind = SMALL.replace("    access:\n      doctor: {read: all}\n", "")
    [(path, _)] = _warnings(blind)
    assert path == "entities.Visit.lifecycle.transitions.close.roles[0]"


def test_unused_roles_and_enums_are_warned_about() -> None:
    text = SMALL.replace("  doctor: {}", "  doctor: {}\n  nurse: {}")
    assert _warnings(text.replace("type: enum, enum: gender", "type: text")) == [
        ("roles.nurse", "role `nurse` has access to nothing"),
        ("enums.gender", "enum `gender` is not used by any field"),
    ]


def test_a_record_is_not_named_by_a_secret() -> None:
    text = entity_with("{display: pin, fields: {pin: {type: string, data_class: secret}}}")
    [problem] = problems(text)
    assert problem["path"] == f"{THING}.display"


def test_lists_name_each_thing_once() -> None:
    text = SMALL.replace("[open]", "[open, open]").replace("[doctor]", "[doctor, doctor]")
    found = problems("compliance: [pdpl, pdpl]\n" + text)
    assert [p["path"] for p in found] == [
        "compliance[1]",
        "entities.Visit.lifecycle.transitions.close.from[1]",
        "entities.Visit.lifecycle.transitions.close.roles[1]",
    ]


def test_money_without_a_currency_and_odd_uniqueness_are_warned_about() -> None:
    fields = (
        "a1: {type: money}, b1: {type: boolean, unique: true},"
        " c1: {type: string, unique: true, default: x}, size: {type: enum, enum: size}"
    )
    paths = [path for path, _ in _warnings(entity_with(f"{{fields: {{{fields}}}}}"))]
    assert paths == [
        f"{THING}.fields.a1",
        f"{THING}.fields.b1.unique",
        f"{THING}.fields.c1.default",
    ]


def test_a_blueprint_made_in_code_is_checked_too() -> None:
    data: dict[str, Any] = small().model_dump(by_alias=True)
    data["entities"]["Visit"]["relations"]["patient"]["to"] = "Nobody"
    [finding] = errors(Blueprint.model_validate(data))
    assert finding.path == ("entities", "Visit", "relations", "patient", "to")
    assert check(small()) == []


TOGETHER = """\
name: shop
enums: {size: {values: {small: {}, large: {}}}}
entities:
  Holder: {}
  Thing:
    fields:
      name: {type: string, max_length: 80}
      code: {type: string, unique: true}
      notes: {type: text}
      token: {type: string, data_class: secret}
      size: {type: enum, enum: size}
      old: {type: boolean}
      long: {type: string, max_length: 590}
    relations:
      holder: {to: Holder}
      holders: {to: Holder, kind: many_to_many}
      twin: {to: Holder, kind: one_to_one}
    lifecycle: {initial: new, states: {new: {}}}
"""


@pytest.mark.parametrize(
    ("sets", "line", "said"),
    [
        ("unique: [[name, holder], [name, holder]]", 19, "listed twice"),
        ("unique: [[name, name]]", 19, "`name` is listed twice"),
        ("unique: [[name, holdr]]", 19, "`holdr` is no field, relation or state field"),
        ("unique: [[name, holders]]", 19, "leads to many records"),
        ("unique: [[name, notes]]", 19, "`notes` is of type `text`, too long for an index"),
        ("indexes: [[notes]]", 19, "`notes` is of type `text`, too long for an index"),
        ("unique: [[name, token]]", 19, "`token` is secret"),
        ("unique: [[name, code]]", 19, "`code` is unique by itself"),
        ("unique: [[name, twin]]", 19, "`twin` is unique by itself"),
        ("unique: [[name, long]]", 19, "up to 670 characters together"),
        ("unique: [[size, old]]", 19, "needs a relation, or a field"),
        ("unique: [[size, status]]", 19, "needs a relation, or a field"),
        ("unique: [[name, holder, size], [holder, name]]", 19, "holder + name is unique already"),
        ("unique: [[name]]", 19, "at least 2"),
        ("indexes: [[]]", 19, "it is empty"),
    ],
)
def test_sets_that_can_not_be_kept_are_refused(sets: str, line: int, said: str) -> None:
    (problem,) = problems(f"{TOGETHER}    {sets}\n")

    assert said in problem["message"]
    assert problem["line"] == line


def test_sets_of_fields_relations_and_the_state_are_accepted() -> None:
    unique = "    unique: [[name, holder], [status, holder, size]]\n"
    indexes = "    indexes: [[holder, name], [status]]\n"

    blueprint = load(TOGETHER + unique + indexes).blueprint

    assert errors(blueprint) == []


@pytest.mark.parametrize(
    ("search", "said"),
    [
        ("[name, name]", "listed twice"),
        ("[nam]", "no field `nam`"),
        ("[holder]", "no field `holder`"),
        ("[size]", "only texts are searched in"),
        ("[token]", "letter by letter"),
    ],
)
def test_only_texts_that_may_be_seen_are_searched_in(search: str, said: str) -> None:
    (problem,) = problems(f"{TOGETHER}    search: {search}\n")

    assert said in problem["message"]
    assert problem["line"] == 19
    assert problem["path"] == f"entities.Thing.search[{search.count(',')}]"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("{type: json, unique: true}", "`unique` doesn't apply to type `json`"),
        ("{type: json, default: x}", "`default` doesn't apply to type `json`"),
        ("{type: json, data_class: secret}", "can't be kept secret as a whole"),
        ("{type: duration, default: P1M}", "such as `PT1H30M`"),
        ("{type: duration, min: 1}", "`min` doesn't apply"),
        ("{type: slug, default: Spring Sale}", "such as `spring-sale`"),
        ("{type: slug, pattern: '[a-z]'}", "`pattern` doesn't apply"),
    ],
)
def test_constraints_of_slugs_durations_and_json(body: str, said: str) -> None:
    (problem,) = problems(field_with(body))

    assert said in problem["message"]


GUARDED = """\
name: shop
entities:
  Holder: {fields: {name: {type: string}}}
  Thing:
    fields:
      price: {type: money, currency: SAR}
      token: {type: string, data_class: secret}
      settings: {type: json}
    relations: {holder: {to: Holder}}
    lifecycle:
      initial: new
      states: {new: {}, sold: {}}
      transitions:
        sell: {from: [new], to: sold, guard: "GUARD"}
"""


@pytest.mark.parametrize(
    ("guard", "said"),
    [
        ("prce > 5", "(at character 1 of the expression)"),
        ("price > 5", "null"),
        ("price is not null and price > 'x'", "(at character"),
        ("price", "(at character 1"),
        ("price is not null and", "(at character"),
        ("holder.name = 'x'", "holder"),
        ("user.role = 'admin'", "user"),
        ("owner_id is not null", "owner_id"),
        ("token = 'x'", "token"),
        ("settings is not null", "settings"),
        ("created_at < now()", "created_at"),
    ],
)
def test_guards_that_a_record_can_not_be_asked_are_refused(guard: str, said: str) -> None:
    (problem,) = problems(GUARDED.replace("GUARD", guard))

    assert said in problem["message"]
    assert (problem["line"], problem["column"]) == (14, 46)


@pytest.mark.parametrize(
    "guard",
    ["holder is not null", "coalesce(price, 0) > 5", "status = 'new' and today() > '2026-01-01'"],
)
def test_guards_see_fields_relations_and_the_state(guard: str) -> None:
    assert errors(load(GUARDED.replace("GUARD", guard)).blueprint) == []


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ("name: {type: string, stored_as: id}", "the built-in field `id` is stored as `id` too"),
        ("a: {type: string, stored_as: b}, b: {type: string}", "`b` is stored as `b` too"),
        ("a: {type: string, stored_as: c}, b: {type: string, stored_as: c}", "`a` is stored as"),
    ],
)
def test_two_parts_are_not_stored_in_one_place(fields: str, said: str) -> None:
    (problem,) = problems(entity_with(f"{{fields: {{{fields}}}}}"))

    assert said in problem["message"]
    assert problem["path"].endswith("stored_as")


def test_entities_are_not_stored_in_one_table() -> None:
    text = "name: shop\nentities:\n  Item: {}\n  Good: {stored_as: Item}\n"
    (problem,) = problems(text)

    assert problem["message"].startswith("`Item` is stored as `items` too")
    assert load(text.replace("  Item: {}\n", "")).blueprint.entities["Good"].stored_as == "Item"
