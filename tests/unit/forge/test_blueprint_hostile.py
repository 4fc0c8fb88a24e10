"""Input that was made to break a reader."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.forge.blueprint.model import MAX_ENTITIES
from engine.forge.blueprint.source import load, load_data
from engine.kernel.errors import InvalidInput, TooLarge
from tests.unit.forge.blueprints import SMALL, changed, entity_with, field_with, problems

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


def test_billion_laughs_is_refused_at_the_first_anchor() -> None:
    tracemalloc.start()
    found = problems(LAUGHS)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [(p["line"], p["column"]) for p in found] == [(1, 4)]
    assert "aliases" in found[0]["message"]
    assert peak < 5_000_000


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("name: &x clinic", (1, 7), "anchors"),
        ("name: *x", (1, 7), "aliases"),
        ("a: 1\n*x : 1", (2, 1), "aliases"),
        ("a: !!python/object/apply:os.system [ls]", (1, 4), "tags"),
        ("a: ! x", (1, 4), "tags"),
        ("name: a\n---\nname: b", (2, 1), "one document"),
        ("name: a\n...\nname: b", (3, 1), "nothing may follow"),
        ("name: [a", (1, 9), "not valid YAML"),
        ("name: a\n\tb: c", (2, 1), "tab"),
        ("name: a: b", (1, 8), "`:`"),
        ("name: @x", (1, 7), "quotes"),
        ('name: "a', (1, 9), "quoted text"),
        ("? [a]\n: b", (1, 3), "plain text"),
        ("", (1, 1), "empty"),
        ("# nothing", (1, 1), "empty"),
        ("- a", (1, 1), "mapping"),
        ("x", (1, 1), "mapping"),
        ("~", (1, 1), "mapping"),
        ("name: a\x07", (1, 8), "U+0007"),
        ("name: a\n  \u202eb", (2, 3), "U+202E"),
        ("name: a\u2028b", (1, 8), "U+2028"),
        (b"name: a\nb: \xff\xfe", (2, 4), "UTF-8"),
        ("name: a".encode("utf-16"), (1, 1), "UTF-8"),
    ],
)
def test_what_yaml_can_do_and_a_blueprint_can_not(
    text: str | bytes, place: tuple[int, int], words: str
) -> None:
    found = problems(text)
    assert (found[0]["line"], found[0]["column"]) == place
    assert words in found[0]["message"]


def test_control_characters_do_not_slip_in_through_escapes() -> None:
    [problem] = changed("name: clinic", 'name: clinic\ndescription: "a\\0b"')
    assert "U+0000" in problem["message"] and problem["path"] == "description"
    [problem] = changed("name: clinic", 'name: clinic\ntitle: {en: "a\\nimport os"}')
    assert problem["path"] == "title.en"


@pytest.mark.parametrize("opening", ["[", "{a: ", '{"a":', "- ", "? ", "a:\n ", "- - ? - "])
def test_deep_nesting_is_refused_without_recursion(opening: str) -> None:
    for count in (40, 3_000, 100_000):
        found = problems(opening * count if "\n" not in opening else _staircase(min(count, 900)))
        assert len(found) == 1


def _staircase(depth: int) -> str:
    return "".join(" " * level + "a:\n" for level in range(depth))


def test_deep_data_is_refused_too() -> None:
    deep: Any = {}
    for _ in range(100_000):
        deep = {"a": deep}
    with pytest.raises(InvalidInput, match="levels deep"):
        load_data(deep)
    circle: dict[str, Any] = {"name": "xx"}
    circle["entities"] = circle
    with pytest.raises(InvalidInput, match="levels deep"):
        load_data(circle)


def test_size_limits() -> None:
    with pytest.raises(TooLarge):
        load("#" * 1_000_001)
    with pytest.raises(TooLarge):
        load("# " + "ع" * 600_000)
    with pytest.raises(TooLarge):
        load("a: [" + "a," * 200_000 + "]")
    with pytest.raises(TooLarge):
        load_data({"description": ["x" * 600_000] * 2})
    with pytest.raises(TooLarge):
        load_data({"a": [0] * 200_000})
    assert load(SMALL + "#" * (1_000_000 - len(SMALL))).blueprint.name == "clinic"


def test_five_hundred_entities_give_one_clear_error() -> None:
    text = "name: xx\nentities:\n" + "".join(f"  A{i}: {{x: 1}}\n" for i in range(500))
    [problem] = problems(text)
    assert (problem["line"], problem["path"]) == (2, "entities")
    assert "500" in problem["message"] and str(MAX_ENTITIES) in problem["message"]
    fits = "name: xx\nentities:\n" + "".join(f"  A{i}: {{}}\n" for i in range(MAX_ENTITIES))
    assert len(load(fits).blueprint.entities) == MAX_ENTITIES


@pytest.mark.parametrize(
    "name",
    [
        "users; DROP TABLE users; --",
        "x' OR '1'='1",
        'a"b',
        "../../etc/passwd",
        "..",
        "a/b",
        "a\\\\b",
        "{{ 7*7 }}",
        "${HOME}",
        "$(id)",
        "a\\nimport os",
        "__class__",
        "_private",
        "a__b",
        "trailing_",
        "CON",
        "é",
        "",
        "x" * 41,
        "x" * 50_000,
    ],
)
def test_injection_in_names_never_passes(name: str) -> None:
    key = json.dumps(name) if "\\" not in name else f'"{name}"'
    texts = [
        entity_with(f"{{fields: {{{key}: {{type: string}}}}}}"),
        entity_with(f"{{relations: {{{key}: {{to: Thing}}}}}}"),
        entity_with(f"{{lifecycle: {{initial: a, states: {{a: {{}}, {key}: {{}}}}}}}}"),
        f"name: xx\nentities: {{Thing: {{}}, {key}: {{}}}}",
        f"name: {key}\nentities: {{Thing: {{}}}}",
        f"name: xx\nroles: {{{key}: {{}}}}\nentities: {{Thing: {{}}}}",
    ]
    for text in texts:
        found = problems(text)
        assert all(len(p["path"]) < 300 and len(p["message"]) < 400 for p in found)
        assert all("\n" not in p["message"] + p["path"] for p in found)


@pytest.mark.parametrize("number", [".inf", "-.INF", ".nan", "1e999", "9" * 41, "9" * 5_000])
def test_numbers_that_can_not_be_stored(number: str) -> None:
    [problem] = problems(field_with(f"{{type: integer, min: {number}}}"))
    assert problem["path"] == "entities.Thing.fields.value.min"


def test_data_that_is_not_json() -> None:
    for value in (b"x", {1, 2}, float("nan"), float("inf"), 10**50, object(), "\ud800", "a\0"):
        with pytest.raises(InvalidInput):
            load_data({"name": "xx", "description": value, "entities": {"Thing": {}}})
    for data in (None, [], "x", 3, {1: 2}, {"\ud800": 1}):
        with pytest.raises(InvalidInput):
            load_data(data)


def _never_anything_else(call: Any, value: Any) -> None:
    try:
        call(value)
    except InvalidInput as error:
        json.dumps(error.problem(), allow_nan=False)
        assert 1 <= len(error.fields["errors"]) <= 50
        for problem in error.fields["errors"]:
            assert problem["line"] is None or (problem["line"] >= 1 and problem["column"] >= 1)
    except TooLarge as error:
        assert error.status == 413


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_bytes_give_problems_only(data: bytes) -> None:
    _never_anything_else(load, data)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200))
@example("{\ud800: 1}")
def test_text_gives_problems_only(text: str) -> None:
    _never_anything_else(load, text)


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("ab:-?,[]{}&*!|>'\"%@#~<. \n\t\\"), max_size=60))
def test_yaml_soup_gives_problems_only(text: str) -> None:
    _never_anything_else(load, text)


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_a_damaged_document_gives_problems_only(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(SMALL)))
    end = data.draw(st.integers(start, min(len(SMALL), start + 30)))
    piece = data.draw(
        st.one_of(st.text(max_size=8), st.sampled_from(["[]", "{}", "~", "1", "x: y"]))
    )
    _never_anything_else(load, SMALL[:start] + piece + SMALL[end:])


KEYS = [
    *("name", "entities", "enums", "roles", "Thing", "thing", "title", "en", "display", "access"),
    *("fields", "type", "enum", "default", "pattern", "relations", "lifecycle", "states"),
    *("initial", "transitions", "from", "to"),
]
_json = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(
                st.sampled_from(KEYS),
                st.text(max_size=4),
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(_json)
def test_any_data_gives_problems_only(data: Any) -> None:
    _never_anything_else(load_data, data)
    _never_anything_else(load_data, {"name": "xx", "entities": {"Thing": data}})
    _never_anything_else(load_data, {"name": "xx", "entities": {"Thing": {"fields": {"f": data}}}})
