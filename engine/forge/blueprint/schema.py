"""The published JSON Schema of the Blueprint language (draft 2020-12)."""

from __future__ import annotations

import json
from typing import Any

from engine.forge.blueprint.model import Blueprint

SCHEMA_ID = "urn:webnova:blueprint:1"
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """The schema that a Blueprint written as JSON or YAML fulfils, derived from the models.

    It describes the shape; what makes sense beyond it is decided by `checks`. Equal on every call.
    """
    return {
        "$schema": DIALECT,
        "$id": SCHEMA_ID,
        **_closed(Blueprint.model_json_schema(by_alias=True, mode="validation")),
        "title": "WebNova Blueprint",
    }


def _closed(part: Any) -> Any:
    """Names that don't have the form of a name are refused, as the models refuse them."""
    if isinstance(part, list):
        return [_closed(item) for item in part]
    if not isinstance(part, dict):
        return part
    closed = {key: _closed(item) for key, item in part.items()}
    if "patternProperties" in closed:
        closed.setdefault("additionalProperties", False)
    return closed


def schema_text() -> str:
    """The schema as indented JSON that ends with a newline; the same bytes on every call."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
