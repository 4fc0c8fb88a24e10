"""Statements, their closing and corrections, the ledger's entries, and the forecast."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, StringConstraints
from starlette.responses import Response

from engine.ledger.metering.entries import EntryView, GetEntry
from engine.ledger.metering.forecast import Forecast, ForecastView
from engine.ledger.metering.money import SignedAmount
from engine.ledger.metering.rating import CorrectCharge, not_zero
from engine.ledger.metering.statements import CloseMonth, GetStatement, StatementView
from engine.ledger.metering.usage import Named, Source
from serve_apps.authentication import Reading, Writing
from serve_apps.problems import documented
from serve_apps.routes import new_router
from serve_apps.routes.answers import answered, message
from serve_apps.routes.input import EmptyBody, EntryPath, PeriodPath, RequestBody

router = new_router("statements")
READ = documented(401, 403, 404, 422, 503)
WRITE = documented(401, 403, 404, 409, 413, 422, 429, 503)


class Correction(RequestBody):
    """`amount` is added to the charge of the usage event; negative for a credit."""

    source: Source
    id: Named
    amount: Annotated[SignedAmount, AfterValidator(not_zero)]
    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


@router.get(
    "/statements/{period}",
    response_model=StatementView,
    responses=READ,
    openapi_extra=message(GetStatement),
)
async def get_statement(period: PeriodPath, session: Reading) -> Response:
    """What a month costs by platform, user and meter. Lines sum to their total exactly."""
    return answered(await session.ask(StatementView, GetStatement(period=period)))


@router.post(
    "/statements/{period}/close",
    response_model=StatementView,
    responses=WRITE,
    openapi_extra=message(CloseMonth),
)
async def close_month(period: PeriodPath, body: EmptyBody, session: Writing) -> Response:
    """Fix the statement of a month that is over; what comes later is a correction of it."""
    return answered(await session.tell(StatementView, CloseMonth(period=period)))


@router.post(
    "/statements/corrections",
    status_code=201,
    response_model=EntryView,
    responses=WRITE,
    openapi_extra=message(CorrectCharge),
)
async def correct_charge(body: Correction, session: Writing) -> Response:
    """Add to what a usage event was charged, or take off it, by an entry of its own."""
    command = CorrectCharge(source=body.source, id=body.id, amount=body.amount, reason=body.reason)
    return answered(await session.tell(EntryView, command), 201)


@router.get(
    "/ledger/entries/{id}",
    response_model=EntryView,
    responses=READ,
    openapi_extra=message(GetEntry),
)
async def get_entry(id: EntryPath, session: Reading) -> Response:
    """An entry of the ledger with its postings, which sum to zero in each currency."""
    return answered(await session.ask(EntryView, GetEntry(id=id)))


@router.get(
    "/forecast", response_model=ForecastView, responses=READ, openapi_extra=message(Forecast)
)
async def get_forecast(session: Reading) -> Response:
    """What the present month will have cost at its end, with an interval of 80 %."""
    return answered(await session.ask(ForecastView, Forecast()))
