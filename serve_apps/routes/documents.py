"""Documents through time: every version of each, what changed, and who changed it."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query
from pydantic import Field, StringConstraints
from starlette.responses import Response

from engine.ledger.documents import DocumentList, FindDocuments, RebuildDocuments, Rebuilt
from engine.ledger.versions import (
    Blame,
    BlameDocument,
    CompareVersions,
    Differences,
    DocumentVersion,
    GetVersion,
    ListVersions,
    RestoreDocument,
    VersionList,
)
from serve_apps.authentication import Reading, Writing
from serve_apps.problems import documented
from serve_apps.routes import new_router
from serve_apps.routes.answers import answered, message
from serve_apps.routes.input import LARGEST_VERSION, Limit, RequestBody

router = new_router("documents", "/documents")
READ = documented(401, 403, 404, 422, 503)

Kind = Annotated[str, Path(pattern=r"^[a-z][a-z0-9_-]*$", max_length=40, examples=["blueprint"])]
ID = r"^[\x21-\x2e\x30-\x7e]+$"
Text = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Id = Annotated[str, Path(pattern=ID, max_length=200, examples=["clinic"])]
Version = Annotated[int, Path(ge=1, le=LARGEST_VERSION)]
MaybeVersion = Annotated[int | None, Query(ge=1, le=LARGEST_VERSION)]


class Rebuilding(RequestBody):
    id: str | None = Field(None, max_length=200, description="One document; else a page of all.")
    after: str | None = Field(None, max_length=200, description="`next` of the page before.")
    limit: int = Field(100, ge=1, le=500)


@router.get(
    "/{kind}",
    response_model=DocumentList,
    responses=READ,
    openapi_extra=message(FindDocuments),
)
async def find_documents(
    kind: Kind,
    session: Reading,
    where: Annotated[
        list[Text] | None,
        Query(
            description="`field:value`, `field:a|b`, `field:low..high` or `field:prefix*`; "
            "all must hold.",
            max_length=10,
            examples=[["state:failed|cancelled"]],
        ),
    ] = None,
    order: Annotated[
        str | None,
        Query(description="An indexed field; -field is descending.", pattern=r"^-?[a-z_]{1,40}$"),
    ] = None,
    after: Annotated[str | None, Query(pattern=ID, max_length=200)] = None,
    limit: Limit = 50,
) -> Response:
    """Documents of a kind by the fields that it is indexed by."""
    query = FindDocuments(
        kind=kind,
        where=where or [],
        order=order.removeprefix("-") if order else None,
        descending=bool(order and order.startswith("-")),
        after=after,
        limit=limit,
    )
    return answered(await session.ask(DocumentList, query))


@router.post(
    "/{kind}/rebuild",
    response_model=Rebuilt,
    responses=documented(401, 403, 404, 409, 413, 422, 429, 503),
    openapi_extra=message(RebuildDocuments),
)
async def rebuild_documents(kind: Kind, body: Rebuilding, session: Writing) -> Response:
    """Fold documents anew from their events, and tell which were not what these give."""
    return answered(await session.tell(Rebuilt, RebuildDocuments(kind=kind, **body.model_dump())))


class Restoring(RequestBody):
    version: int = Field(ge=1, le=LARGEST_VERSION)


@router.get(
    "/{kind}/{id}/versions",
    response_model=VersionList,
    responses=READ,
    openapi_extra=message(ListVersions),
)
async def list_versions(
    kind: Kind,
    id: Id,
    session: Reading,
    after: Annotated[int, Query(ge=0, le=LARGEST_VERSION)] = 0,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """Each version of a document with the event that made it, oldest first."""
    query = ListVersions(kind=kind, id=id, after=after, limit=limit)
    return answered(await session.ask(VersionList, query))


@router.get(
    "/{kind}/{id}/versions/{version}",
    response_model=DocumentVersion,
    responses=READ,
    openapi_extra=message(GetVersion),
)
async def get_version(kind: Kind, id: Id, version: Version, session: Reading) -> Response:
    """A document as it was at a version."""
    query = GetVersion(kind=kind, id=id, version=version)
    return answered(await session.ask(DocumentVersion, query))


@router.get(
    "/{kind}/{id}/diff",
    response_model=Differences,
    responses=READ,
    openapi_extra=message(CompareVersions),
)
async def compare_versions(
    kind: Kind,
    id: Id,
    session: Reading,
    old: Annotated[int | None, Query(alias="from", ge=0, le=LARGEST_VERSION)] = None,
    new: Annotated[int | None, Query(alias="to", ge=1, le=LARGEST_VERSION)] = None,
) -> Response:
    """What differs between two versions; by default what the last change changed. Version 0 is
    the document before there was one."""
    query = CompareVersions(kind=kind, id=id, old=old, new=new)
    return answered(await session.ask(Differences, query))


@router.get(
    "/{kind}/{id}/blame",
    response_model=Blame,
    responses=READ,
    openapi_extra=message(BlameDocument),
)
async def blame_document(
    kind: Kind, id: Id, session: Reading, version: MaybeVersion = None
) -> Response:
    """Each value of a document with the change that gave it its present form."""
    query = BlameDocument(kind=kind, id=id, version=version)
    return answered(await session.ask(Blame, query))


@router.post(
    "/{kind}/{id}/restore",
    response_model=DocumentVersion,
    responses=documented(401, 403, 404, 409, 413, 422, 429, 503),
    openapi_extra=message(RestoreDocument),
)
async def restore_document(kind: Kind, id: Id, body: Restoring, session: Writing) -> Response:
    """Make a document what it was at a version; needs the right to change it, too."""
    command = RestoreDocument(kind=kind, id=id, version=body.version)
    return answered(await session.tell(DocumentVersion, command))
