"""The one way to write a Blueprint down, and its digest."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import yaml  # type: ignore[import-untyped]

from engine.forge.blueprint.model import LANGUAGE_VERSION, Blueprint
from engine.forge.blueprint.reader import is_text

_WIDTH = 100
_EXACT = 2**53


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]
    """Writes what YAML 1.2 and 1.1 both read as the same value; never an alias."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        return super().increase_indent(flow, False)  # type: ignore[no-any-return]


def _represent_text(dumper: Any, text: str) -> Any:
    style = None if is_text(text) else '"'
    if "\n" in text and not text[0].isspace():
        style = "|"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def plain(blueprint: Blueprint) -> dict[str, Any]:
    """The Blueprint as JSON values: version first, defaults left out, order as declared.

    Equal Blueprints whose parts are declared in the same order give the same value.
    """
    data = blueprint.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return {"webnova": LANGUAGE_VERSION, **_tidy(data)}


def canonical(blueprint: Blueprint) -> str:
    """The Blueprint as YAML; Arabic stays readable. `load` of it gives the same Blueprint."""
    text = yaml.dump(
        plain(blueprint),
        Dumper=_Dumper,
        allow_unicode=True,
        sort_keys=False,
        default_flow_style=False,
        width=_WIDTH,
    )
    return str(text)


def digest(blueprint: Blueprint) -> str:
    """SHA-256 (hex) of the Blueprint as JSON with sorted keys: the order of names is not part."""
    text = json.dumps(plain(blueprint), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _tidy(value: Any) -> Any:
    """One form for equal numbers: whole ones without a point."""
    if isinstance(value, dict):
        return {key: _tidy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return int(value)
    return value
