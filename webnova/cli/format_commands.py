"""import, export: foreign formats into a Blueprint and out of it. Nothing has to run for files."""

# ruff: noqa: PLC0415
from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.kernel.errors import Conflict, InvalidInput
from webnova.cli.blueprint_commands import Source, load_blueprint
from webnova.cli.command import command
from webnova.cli.output import Output, plain
from webnova.cli.sources import read_bytes, written

if TYPE_CHECKING:
    from engine.forge.formats.building.build import Imported
    from engine.forge.formats.report import Entry

_DATABASE = "database"


@command
def import_source(
    output: Output,
    source: Annotated[
        str, typer.Argument(help="A file, - for standard input, or the address of a database.")
    ],
    form: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="jdl, openapi, sql, database, prisma, dbml or jsonschema; told by the "
            "file's ending when left out.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The Blueprint's file; else it is printed.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The platform's name.")] = None,
    dialect: Annotated[
        str | None, typer.Option(help="Of SQL: postgres, mysql or sqlite; else found out.")
    ] = None,
    schema: Annotated[str | None, typer.Option(help="The schema of a database.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
) -> None:
    """Make a Blueprint from a foreign format, and tell what was and wasn't carried over.

    A database is only read, in a read-only transaction. Its password may be left out of the
    address: the database's own means (PGPASSWORD, ~/.pgpass) are used then.
    """
    from engine.forge.blueprint.canonical import canonical

    if out is not None and out.exists() and not force:
        raise Conflict(f"The file {str(out)!r} is there already.", mend="Replace it with --force.")
    found = _imported(source, form, schema, name=name, dialect=dialect)
    text = canonical(found.blueprint)
    if out is not None:
        with written(out) as file:
            file.write(text.encode())
    report = found.report
    output.value(
        {
            "name": found.blueprint.name,
            "out": None if out is None else str(out),
            "blueprint": None if out is not None else plain(_content(found)),
            **plain(report),
        }
    )
    if out is None:
        output.say(text.rstrip("\n"))
    if not output.as_json:
        _tell(found, out)


def _content(found: Imported) -> object:
    from engine.forge.blueprint.canonical import plain as as_data

    return as_data(found.blueprint)


def _imported(
    source: str, form: str | None, schema: str | None, *, name: str | None, dialect: str | None
) -> Imported:
    import asyncio
    import json

    from engine.forge.formats.conversion import format_of, import_blueprint

    content: str | bytes
    if "://" in source:
        from storage.reflection import reflect

        if form not in (None, _DATABASE):
            raise InvalidInput("An address can only be that of a database.",
                               mend="Leave --from out, or name a file.")  # fmt: skip
        form = _DATABASE
        content = json.dumps(asyncio.run(reflect(source, schema)), ensure_ascii=False)
    else:
        form = form or format_of(source)
        if form is None:
            raise InvalidInput(
                "The file's ending does not tell its format.",
                mend="Name it with --from jdl|openapi|sql|database|prisma|dbml|jsonschema.",
            )
        content = read_bytes(Path(source))
    return import_blueprint(content, form, name=name, dialect=dialect)


def _tell(found: Imported, out: Path | None) -> None:
    """The account for people, on standard error: standard output may be the Blueprint."""
    report = found.report
    lines = [_line(entry) for entry in report.entries if entry.outcome != "carried"]
    count = len(found.blueprint.entities)
    where = "" if out is None else f" in {out}"
    lines.append(
        f"{found.blueprint.name}: {count} entities{where}; {report.carried} carried over, "
        f"{report.changed} changed, {report.dropped} dropped."
    )
    sys.stderr.write("\n".join(lines) + "\n")


def _line(entry: Entry) -> str:
    mark = {"changed": "~", "dropped": "-"}[entry.outcome]
    place = f"line {entry.line}: " if entry.line else ""
    mend = f" → {entry.mend}" if entry.mend else ""
    return f"{mark} {place}{entry.kind} {entry.source}: {entry.reason}{mend}"


@command
def export(
    output: Output,
    source: Source,
    to: Annotated[str, typer.Option("--to", help="openapi, dbml, mermaid or jsonschema.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The file; else it is printed.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
) -> None:
    """Write a Blueprint in a foreign format: of a file, or of a platform."""
    from engine.forge.formats.conversion import export_blueprint, find_exporter

    exporter = find_exporter(to)
    if out is not None and out.exists() and not force:
        raise Conflict(f"The file {str(out)!r} is there already.", mend="Replace it with --force.")
    blueprint = load_blueprint(source)
    text = export_blueprint(blueprint, to)
    if out is not None:
        with written(out) as file:
            file.write(text.encode())
    output.value(
        {
            "name": blueprint.name,
            "format": to,
            "media_type": exporter.media_type,
            "out": None if out is None else str(out),
            "text": None if out is not None else text,
        }
    )
    if out is None and not output.as_json:
        sys.stdout.write(text)
    elif out is not None:
        output.say(f"{blueprint.name} as {to} in {out}.")
