"""The reference of the language says all that the models know, and its examples hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.forge.blueprint.checks import errors
from engine.forge.blueprint.language import FIELD_TYPES, TypeNote, language_page
from engine.forge.blueprint.model import Blueprint, FieldType
from engine.forge.blueprint.schema import schema
from engine.forge.blueprint.source import load_data

DOCS = Path(__file__).parents[3] / "docs"


def test_every_part_key_and_value_is_explained() -> None:
    page, document = language_page(), schema()

    for name, part in [("Blueprint", document), *document["$defs"].items()]:
        assert f"## {name}\n" in page
        section = page.split(f"## {name}\n")[1].split("\n## ")[0]
        for key in part.get("properties", {}):
            assert f"| `{key}` |" in section, f"{name}.{key}"
        for value in part.get("enum", []):
            assert f"`{value}`" in section, f"{name}: {value}"
    assert (DOCS / "language.md").read_text(encoding="utf-8") == page, "run `make docs`"


@pytest.mark.parametrize(("kind", "note"), FIELD_TYPES.items())
def test_examples_are_what_the_language_takes(kind: FieldType, note: TypeNote) -> None:
    spec = {"type": kind.value} | ({} if note.example is None else {"default": note.example})
    spec |= {"enum": "size"} if kind is FieldType.ENUM else {}
    data = {
        "name": "shop",
        "enums": {"size": {"values": {"small": {}}}},
        "entities": {"Thing": {"fields": {"value": spec}}},
    }

    blueprint: Blueprint = load_data(data)

    assert errors(blueprint) == []


def test_every_type_is_explained() -> None:
    assert set(FIELD_TYPES) == set(FieldType)
