"""`python -m webnova.reference DIRECTORY`: the reference, derived from the code.

Writes the OpenAPI document, the Blueprint language with its JSON Schema, the JSON Schemas of what
commands print and a page of all commands. Nothing has to run. The same code gives the same bytes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import typer

from engine.forge.blueprint.language import language_page
from engine.forge.blueprint.schema import schema_text
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


def write(directory: Path) -> list[Path]:
    """Write every page; returns the files."""
    shapes = {name: model.model_json_schema() for name, model in SHAPES.items()}
    pages = {
        "openapi.json": _json(openapi()),
        "blueprint.schema.json": schema_text(),
        "language.md": language_page(),
        "commands.schema.json": _json(shapes),
        "commands.md": commands(),
    }
    directory.mkdir(parents=True, exist_ok=True)
    written = [directory / name for name in pages]
    for path in written:
        path.write_text(pages[path.name], encoding="utf-8")
    return written


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


if __name__ == "__main__":
    for page in write(Path(sys.argv[1] if len(sys.argv) > 1 else "build/reference")):
        print(page)
