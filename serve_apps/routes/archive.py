"""The tenant's archived months."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from engine.ledger.archive.months import ArchivedMonthList, ListArchivedMonths
from serve_apps.authentication import Reading
from serve_apps.problems import documented
from serve_apps.routes import new_router
from serve_apps.routes.answers import answered, message
from serve_apps.routes.input import Limit

router = new_router("archive", "/archive")
READ = documented(401, 403, 404, 422, 503)

AfterMonth = Annotated[
    str | None,
    Query(
        description="`next` of the page before; left out for the first page.",
        pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])$",
    ),
]


@router.get(
    "/months",
    response_model=ArchivedMonthList,
    responses=READ,
    openapi_extra=message(ListArchivedMonths),
)
async def list_archived_months(
    session: Reading, after: AfterMonth = None, limit: Limit = 50
) -> Response:
    """Months of events that left the database, from the oldest on: the archive that stands in for
    each, what it was when it was last held against the database, and how long months stay."""
    query = ListArchivedMonths(after=after, limit=limit)
    return answered(await session.ask(ArchivedMonthList, query))
