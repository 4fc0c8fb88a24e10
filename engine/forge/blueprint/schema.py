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
        **Blueprint.model_json_schema(by_alias=True, mode="validation"),
        "title": "WebNova Blueprint",
    }


def schema_text() -> str:
    """The schema as indented JSON that ends with a newline; the same bytes on every call."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
