"""Budgets and the reservations on them."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Query
from pydantic import Field
from starlette.responses import Response

from engine.kernel.errors import InvalidInput
from engine.ledger.metering.budgets import (
    LONGEST_S,
    BudgetList,
    BudgetView,
    GetBudget,
    GetReservation,
    ListBudgets,
    ReleaseReservation,
    ReservationView,
    ReserveBudget,
    SetBudget,
    SettleReservation,
    Threshold,
    unit_problem,
)
from engine.ledger.metering.money import Amount, CurrencyCode
from engine.ledger.metering.periods import Period
from engine.ledger.metering.usage import Meter, Named, PlatformName
from serve_apps.authentication import Reading, Writing
from serve_apps.problems import documented
from serve_apps.routes import new_router
from serve_apps.routes.answers import answered, message
from serve_apps.routes.input import (
    After,
    BudgetPath,
    EmptyBody,
    Limit,
    RequestBody,
    ReservationPath,
)

router = new_router("budgets", "/budgets")
READ = documented(401, 403, 404, 422, 503)
WRITE = documented(401, 403, 404, 409, 413, 422, 429, 503)

Month = Annotated[Period | None, Query(description="The present month by default.")]


class BudgetWish(RequestBody):
    """Limited in a currency or in a meter. One that counts charges only watches."""

    limit: Amount
    currency: CurrencyCode | None = None
    meter: Meter | None = None
    counts: Literal["settlements", "charges"] = "settlements"
    platform: PlatformName | None = None
    user: Named | None = None
    thresholds: list[Threshold] = Field(
        [50, 80, 100], max_length=10, description="Percentages that are told once a month."
    )


class NewReservation(RequestBody):
    amount: Amount
    seconds: int = Field(300, ge=1, le=LONGEST_S, description="It expires after these.")


class Settlement(RequestBody):
    actual: Amount = Field(description="What was really spent; may be more than was held.")


@router.get("", response_model=BudgetList, responses=READ, openapi_extra=message(ListBudgets))
async def list_budgets(session: Reading, after: After = None, limit: Limit = 50) -> Response:
    """The tenant's budgets as they stand this month."""
    return answered(await session.ask(BudgetList, ListBudgets(after=after, limit=limit)))


@router.put("/{name}", response_model=BudgetView, responses=WRITE, openapi_extra=message(SetBudget))
async def set_budget(name: BudgetPath, body: BudgetWish, session: Writing) -> Response:
    """Make a budget, or change its limit and thresholds from this month on."""
    given = {field: getattr(body, field) for field in BudgetWish.model_fields}
    problem = unit_problem(**{each: given[each] for each in UNIT})
    if problem is not None:
        raise InvalidInput(f"{problem[0].upper()}{problem[1:]}.", mend="Correct the budget.")
    return answered(await session.tell(BudgetView, SetBudget(name=name, **given)))


UNIT = ("counts", "currency", "meter", "platform", "user")


@router.get("/{name}", response_model=BudgetView, responses=READ, openapi_extra=message(GetBudget))
async def get_budget(name: BudgetPath, session: Reading, period: Month = None) -> Response:
    """A budget and how it stands in a month."""
    return answered(await session.ask(BudgetView, GetBudget(name=name, period=period)))


@router.post(
    "/{name}/reservations",
    status_code=201,
    response_model=ReservationView,
    responses=WRITE,
    openapi_extra=message(ReserveBudget),
)
async def reserve(name: BudgetPath, body: NewReservation, session: Writing) -> Response:
    """Hold an amount before it is spent; refused with 409 when it is not left."""
    command = ReserveBudget(budget=name, amount=body.amount, seconds=body.seconds)
    return answered(await session.tell(ReservationView, command), 201)


@router.get(
    "/{name}/reservations/{id}",
    response_model=ReservationView,
    responses=READ,
    openapi_extra=message(GetReservation),
)
async def get_reservation(name: BudgetPath, id: ReservationPath, session: Reading) -> Response:
    """A reservation, whatever became of it."""
    return answered(await session.ask(ReservationView, GetReservation(budget=name, id=id)))


@router.post(
    "/{name}/reservations/{id}/settle",
    response_model=ReservationView,
    responses=WRITE,
    openapi_extra=message(SettleReservation),
)
async def settle(
    name: BudgetPath, id: ReservationPath, body: Settlement, session: Writing
) -> Response:
    """Record what was spent. Doing it again with the same amount changes nothing."""
    command = SettleReservation(budget=name, id=id, actual=body.actual)
    return answered(await session.tell(ReservationView, command))


@router.post(
    "/{name}/reservations/{id}/release",
    response_model=ReservationView,
    responses=WRITE,
    openapi_extra=message(ReleaseReservation),
)
async def release(
    name: BudgetPath, id: ReservationPath, body: EmptyBody, session: Writing
) -> Response:
    """Give a reservation back unspent. Doing it again changes nothing."""
    command = ReleaseReservation(budget=name, id=id)
    return answered(await session.tell(ReservationView, command))
