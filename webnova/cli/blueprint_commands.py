"""blueprint validate, show, diff. Nothing has to run for files."""

# ruff: noqa: PLC0415
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.kernel.errors import InvalidInput, NotFound
from webnova.cli.command import command, stop
from webnova.cli.exits import ExitCode
from webnova.cli.output import Output, place_line, plain
from webnova.cli.sources import connect, read_bytes

if TYPE_CHECKING:
    from engine.forge.blueprint.model import Blueprint

Source = Annotated[str, typer.Argument(help="A file, - for standard input, or a platform's name.")]


@command
def validate(
    output: Output,
    file: Annotated[Path, typer.Argument(help="A Blueprint in YAML or JSON; - reads it.")],
) -> None:
    """Check a Blueprint: each problem with its line, column and the word probably meant."""
    from engine.forge.blueprint.canonical import digest
    from engine.forge.blueprint.source import load

    try:
        loaded = load(read_bytes(file), filename=file.name)
    except InvalidInput as error:
        errors = error.fields.get("errors")
        if not isinstance(errors, list):
            raise
        output.value({"valid": False, "name": None, "digest": None, "errors": errors,
                      "warnings": []})  # fmt: skip
        if not output.as_json:
            output.error(error)
        raise stop(ExitCode.USAGE) from None
    name = loaded.blueprint.name
    warnings = [plain(warning) for warning in loaded.warnings]
    output.value(
        {
            "valid": True,
            "name": name,
            "digest": digest(loaded.blueprint),
            "errors": [],
            "warnings": warnings,
        }
    )
    for warning in warnings:
        output.say(f"Warning: {place_line(warning)}", style="yellow")
    count = len(loaded.blueprint.entities)
    output.say(f"{file.name} is a valid Blueprint: {name}, {count} entities.", style="green")


@command
def show(
    output: Output,
    source: Source,
    version: Annotated[
        int | None, typer.Option(help="An earlier version of a platform's Blueprint.")
    ] = None,
) -> None:
    """Print a Blueprint in canonical YAML: of a file, or of a platform."""
    from engine.forge.blueprint.canonical import canonical
    from engine.forge.blueprint.canonical import plain as as_data

    blueprint = load_blueprint(source, version)
    output.value(as_data(blueprint))
    output.say(canonical(blueprint).rstrip("\n"))


@command
def diff(
    output: Output,
    old: Source,
    new: Annotated[
        str | None,
        typer.Argument(help="A file or a platform's name; without it a platform's last change."),
    ] = None,
) -> None:
    """Say what changed between two Blueprints, and what of it can break something.

    A platform's name may carry a version: `clinic@2`. With one name alone its last two versions
    are compared.
    """
    from engine.forge.blueprint.diff import diff as compare

    before, after = _last_two(old) if new is None else (load_blueprint(old), load_blueprint(new))
    changes = [plain(change) for change in compare(before, after)]
    breaking = any(change["breaking"] for change in changes)
    output.value({"breaking": breaking, "changes": changes})
    for change in changes:
        mark = {"added": "+", "removed": "-"}.get(change["kind"], "~")
        warning = "  (breaking)" if change["breaking"] else ""
        output.say(f"{mark} {change['summary']}{warning}", style="red" if warning else None)
    if not changes:
        output.say("The two mean the same.")


def load_blueprint(source: str, version: int | None = None) -> Blueprint:
    """From a file when there is one, otherwise from the platform `NAME` or `NAME@VERSION`."""
    from engine.forge.blueprint.source import load, load_data

    file = Path(source)
    if source == "-" or file.is_file():
        return load(read_bytes(file), filename=file.name).blueprint
    name, _, wished = source.partition("@")
    if any(letter in source for letter in "/\\.") or not name:
        raise NotFound(f"There is no file {source!r}.", mend="Check the path.")
    if wished and not (wished.isascii() and wished.isdigit()):
        raise InvalidInput(f"{wished[:40]!r} is not a version.", mend="Write NAME@NUMBER.")
    with connect() as client:
        return load_data(client.blueprint(name, int(wished) if wished else version).content)


def _last_two(name: str) -> tuple[Any, Any]:
    from engine.forge.blueprint.source import load_data

    if Path(name).is_file():
        raise InvalidInput("One file alone can't be compared.", mend="Name a second one.")
    with connect() as client:
        versions = [each.version for each in client.blueprint_versions(name)]
        if len(versions) < 2:
            raise NotFound(f"The Blueprint of {name!r} was never changed.")
        old, new = (client.blueprint(name, version).content for version in sorted(versions)[-2:])
    return load_data(old), load_data(new)
