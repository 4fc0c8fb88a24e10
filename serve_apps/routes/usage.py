"""Usage of the tenant: record, sum up, list what has no price, and charge."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from pydantic import Field
from starlette.responses import Response

from engine.ledger.metering.periods import Period
from engine.ledger.metering.rating import MOST_RATED, Rated, RateUsage
from engine.ledger.metering.usage import (
    MOST_EVENTS,
    ListUnrated,
    Meter,
    Named,
    PlatformName,
    RecordUsage,
    SumUsage,
    UnratedList,
    UsageEvent,
    UsageRecorded,
    UsageSums,
)
from serve_apps.authentication import Reading, Writing
from serve_apps.problems import documented
from serve_apps.routes import new_router
from serve_apps.routes.answers import answered, message
from serve_apps.routes.input import Limit, Place, RequestBody

router = new_router("usage", "/usage")
READ = documented(401, 403, 404, 422, 503)
WRITE = documented(401, 403, 404, 409, 413, 422, 429, 503)

First = Annotated[Period | None, Query(description="First month; the present one by default.")]
Last = Annotated[Period | None, Query(description="Last month, inclusive.")]


class UsageBatch(RequestBody):
    events: list[UsageEvent] = Field(min_length=1, max_length=MOST_EVENTS)


class RatingWish(RequestBody):
    limit: int = Field(5000, ge=1, le=MOST_RATED, description="Most usage events to charge.")


@router.post("", response_model=UsageRecorded, responses=WRITE, openapi_extra=message(RecordUsage))
async def record_usage(body: UsageBatch, session: Writing) -> Response:
    """Store up to a thousand usage events, all or none; ones that are there change nothing."""
    return answered(await session.tell(UsageRecorded, RecordUsage(events=body.events)))


@router.get("", response_model=UsageSums, responses=READ, openapi_extra=message(SumUsage))
async def sum_usage(
    session: Reading,
    first: First = None,
    last: Last = None,
    meter: Meter | None = None,
    platform: PlatformName | None = None,
    user: Named | None = None,
    after: Place = None,
    limit: Limit = 50,
) -> Response:
    """Quantities by month, meter, platform and user."""
    query = SumUsage(
        first=first,
        last=last,
        meter=meter,
        platform=platform,
        user=user,
        after=after,
        limit=limit,
    )
    return answered(await session.ask(UsageSums, query))


@router.get(
    "/unrated", response_model=UnratedList, responses=READ, openapi_extra=message(ListUnrated)
)
async def list_unrated(session: Reading) -> Response:
    """Usage that has no charge yet, and whether it is for want of a price."""
    return answered(await session.ask(UnratedList, ListUnrated()))


@router.post("/rating", response_model=Rated, responses=WRITE, openapi_extra=message(RateUsage))
async def rate_usage(body: RatingWish, session: Writing) -> Response:
    """Charge the next batch of usage at its prices; go on while `more` is true."""
    return answered(await session.tell(Rated, RateUsage(limit=body.limit)))
