"""Foreign formats: a Blueprint out of one, and one out of a Blueprint. Nothing is stored, and no
address that a text names is ever asked: databases are read at the command line only."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import Query, Request
from starlette.responses import Response

from engine.forge.formats.conversion import export_blueprint, find_exporter, import_blueprint
from engine.forge.formats.report import Entry
from engine.forge.versions import GetBlueprint, content_of
from engine.kernel.contracts import View
from serve_apps.authentication import Reading
from serve_apps.blueprints import read_data, read_text
from serve_apps.problems import documented
from serve_apps.routes import new_router
from serve_apps.routes.answers import answered, message
from serve_apps.routes.blueprints import BlueprintToCheck
from serve_apps.routes.input import NAME

router = new_router("blueprints")
CONVERTED = documented(401, 403, 404, 413, 422, 503)
Format = Annotated[str, Query(pattern=r"^[a-z][a-z0-9-]{0,39}$", description="Its name.")]


class ImportEntry(Entry):
    pass


class ImportReport(View):
    """What became of every construct of the source, in its order."""

    format: str
    carried: int
    changed: int
    dropped: int
    entries: list[ImportEntry]


class ImportedBlueprint(View):
    """A valid Blueprint in its canonical form, and the account of how it came about."""

    blueprint: dict[str, Any]
    report: ImportReport


@router.post(
    "/blueprints/import",
    response_model=ImportedBlueprint,
    responses=CONVERTED,
    openapi_extra={
        **message(GetBlueprint),
        "requestBody": {
            "required": True,
            "content": {"text/plain": {"schema": {"type": "string"}}},
            "description": "The source as UTF-8 text, at most one million bytes.",
        },
    },
)
async def import_source(
    request: Request,
    session: Reading,
    form: Annotated[Format, Query(alias="from")],
    dialect: Annotated[str | None, Query(max_length=40, description="Of SQL.")] = None,
    name: Annotated[
        str | None,
        Query(pattern=NAME, min_length=2, max_length=40, description="Of the platform."),
    ] = None,
) -> Response:
    """A Blueprint from `jdl`, `openapi`, `sql`, `prisma`, `dbml` or `jsonschema`. Nothing is
    stored, and no reference to another document is followed."""
    await session.require(GetBlueprint.permission)
    body = await request.body()
    found = await asyncio.to_thread(import_blueprint, body, form, name=name, dialect=dialect)
    report = found.report
    view = ImportedBlueprint(
        blueprint=content_of(found.blueprint),
        report=ImportReport(
            format=report.format,
            carried=report.carried,
            changed=report.changed,
            dropped=report.dropped,
            entries=[ImportEntry(**dict(each)) for each in report.entries],
        ),
    )
    return answered(view)


@router.post(
    "/blueprints/export",
    responses={
        200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
        **CONVERTED,
    },
    openapi_extra=message(GetBlueprint),
    response_class=Response,
)
async def export_as(
    body: BlueprintToCheck, session: Reading, to: Annotated[Format, Query()]
) -> Response:
    """The Blueprint as `openapi`, `dbml`, `mermaid` or `jsonschema`. Nothing is stored."""
    await session.require(GetBlueprint.permission)
    exporter = find_exporter(to)
    if "text" in body.model_fields_set:
        blueprint = (await read_text(body.text)).blueprint
    else:
        blueprint = await read_data(body.content)
    text = await asyncio.to_thread(export_blueprint, blueprint, to)
    headers = {"x-webnova-format": exporter.media_type}
    return Response(text, media_type="text/plain; charset=utf-8", headers=headers)
