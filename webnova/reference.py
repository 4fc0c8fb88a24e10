"""`python -m webnova.reference DIRECTORY`: the reference, derived from the code.

Writes the OpenAPI document, the JSON Schema of Blueprints, the JSON Schemas of what commands print
and a page of all commands; with `--language` the pages of `docs/` on the Blueprint language
instead. Nothing has to run. The same code gives the same bytes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from engine.forge.blueprint.language import language_page
from engine.forge.blueprint.schema import schema_text
from engine.forge.expressions.language import page as expressions_page
from serve_apps.api import create_api
from webnova.cli.app import app
from webnova.cli.exits import MEANINGS
from webnova.cli.shapes import SHAPES
from webnova.compose import compose

_NOWHERE = "postgresql://nobody@localhost/nothing"
"""The document is derived from the routes: the installation behind them is never asked."""


def openapi() -> dict[str, Any]:
    """The OpenAPI document of the API, without a server."""
    installation = compose("reference", pool=1, url=_NOWHERE)
    return create_api(installation, None).openapi()  # type: ignore[arg-type]


def commands() -> str:
    """A Markdown page that shows the help of every command."""
    group = typer.main.get_command(app)
    parts = ["# Commands", "", "## Exit codes", "", "| code | meaning |", "|---|---|"]
    parts += [f"| {code.value} | {text} |" for code, text in MEANINGS.items()]
    return "\n".join([*parts, *_sections(group, "webnova")]) + "\n"


def _sections(command: Any, name: str) -> list[str]:
    context = command.context_class(command, info_name=name, terminal_width=80)
    text = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
    lines = ["", f"## `{name}`", "", "```text", text, "```"]
    if (shape := SHAPES.get(name.removeprefix("webnova "))) is not None:
        lines += ["", f"With `--json`: `{shape.__name__}` of `commands.schema.json`."]
    for part in getattr(command, "commands", {}).values():
        lines += _sections(part, f"{name} {part.name}")
    return lines


def language() -> dict[str, str]:
    """The pages on the Blueprint language, which are read with the other documents."""
    return {"language.md": language_page(), "expressions.md": expressions_page()}


def reference() -> dict[str, str]:
    shapes = {name: model.model_json_schema() for name, model in SHAPES.items()}
    return {
        "openapi.json": _json(openapi()),
        "blueprint.schema.json": schema_text(),
        "commands.schema.json": _json(shapes),
        "commands.md": commands(),
    }


def write(directory: Path, pages: Mapping[str, str]) -> list[Path]:
    """Write every page; returns the files."""
    directory.mkdir(parents=True, exist_ok=True)
    written = [directory / name for name in pages]
    for path in written:
        path.write_text(pages[path.name], encoding="utf-8")
    return written


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


if __name__ == "__main__":
    if sys.argv[1:] == ["--language"]:
        written = write(Path("docs"), language())
    else:
        written = write(Path(*sys.argv[1:2] or ["build/reference"]), reference())
    print(*written, sep="\n")
