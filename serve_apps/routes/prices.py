"""Price books: publish and read."""

from __future__ import annotations

from pydantic import Field
from starlette.responses import Response

from engine.ledger.metering.money import CurrencyCode
from engine.ledger.metering.periods import Instant
from engine.ledger.metering.prices import (
    GetPrices,
    ListPrices,
    PriceBookList,
    PriceBookView,
    PublishPrices,
    Tiers,
)
from engine.ledger.metering.usage import DEFAULT_REGION, Meter, Region
from serve_apps.authentication import Reading, Writing
from serve_apps.problems import documented
from serve_apps.routes import new_router
from serve_apps.routes.answers import answered, message
from serve_apps.routes.input import After, Limit, RegionPath, RequestBody

router = new_router("prices", "/prices")
READ = documented(401, 403, 404, 422, 503)
WRITE = documented(401, 403, 404, 409, 413, 422, 429, 503)


class NewPrices(RequestBody):
    region: Region = DEFAULT_REGION
    currency: CurrencyCode
    valid_from: Instant = Field(description="Inclusive.", examples=["2026-01-01T00:00:00Z"])
    prices: dict[Meter, Tiers] = Field(
        min_length=1, examples=[{"builds": [{"unit_price": "0.25"}]}]
    )


@router.post(
    "",
    status_code=201,
    response_model=PriceBookView,
    responses=WRITE,
    openapi_extra=message(PublishPrices),
)
async def publish_prices(body: NewPrices, session: Writing) -> Response:
    """Add a version to a region's price book. Versions never change."""
    command = PublishPrices(
        region=body.region,
        currency=body.currency,
        valid_from=body.valid_from,
        prices=body.prices,
    )
    return answered(await session.tell(PriceBookView, command), 201)


@router.get("", response_model=PriceBookList, responses=READ, openapi_extra=message(ListPrices))
async def list_prices(session: Reading, after: After = None, limit: Limit = 50) -> Response:
    """The price books of all regions."""
    return answered(await session.ask(PriceBookList, ListPrices(after=after, limit=limit)))


@router.get(
    "/{region}", response_model=PriceBookView, responses=READ, openapi_extra=message(GetPrices)
)
async def get_prices(region: RegionPath, session: Reading) -> Response:
    """A region's price book with all its versions, the oldest first."""
    return answered(await session.ask(PriceBookView, GetPrices(region=region)))
