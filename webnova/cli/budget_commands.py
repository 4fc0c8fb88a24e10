"""budget: limits, and reservations on them."""

# ruff: noqa: PLC0415
from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from webnova.cli.command import command
from webnova.cli.output import Output
from webnova.cli.sources import connect

if TYPE_CHECKING:
    from webnova.client.models import Budget, Reservation

Name = Annotated[str, typer.Argument(help="The budget's name.")]
ReservationId = Annotated[str, typer.Argument(metavar="RESERVATION", help="Its id.")]
Exact = Annotated[str, typer.Argument(metavar="AMOUNT", help="A decimal, such as 12.50.")]
Month = Annotated[str | None, typer.Option(help="The month (YYYY-MM); the present by default.")]


@command
def set_budget(
    output: Output,
    name: Name,
    limit: Annotated[str, typer.Argument(help="How much a month, such as 250.00.")],
    currency: Annotated[str | None, typer.Option(help="An ISO 4217 code, such as SAR.")] = None,
    meter: Annotated[str | None, typer.Option(help="Limit a meter, or watch one only.")] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Count rated charges and warn; nothing is reserved.")
    ] = False,
    platform: Annotated[str | None, typer.Option(help="Watch one platform.")] = None,
    user: Annotated[str | None, typer.Option(help="Watch one user.")] = None,
    threshold: Annotated[
        list[int] | None, typer.Option(help="Percent to tell at; may be repeated.")
    ] = None,
) -> None:
    """Make a budget, or change its limit and thresholds from this month on."""
    from webnova.client.metering import BudgetWish

    wish = BudgetWish(
        limit=limit,
        currency=currency,
        meter=meter,
        counts="charges" if watch else "settlements",
        platform=platform,
        user=user,
        thresholds=tuple(threshold or (50, 80, 100)),
    )
    with connect() as client:
        found = client.set_budget(name, wish)
    output.value(found)
    _table(output, [found])


@command
def list_budgets(output: Output) -> None:
    """List the budgets as they stand this month."""
    with connect() as client:
        found = list(client.budgets())
    output.value([*found])
    if not found:
        output.say("There is no budget yet. → webnova budget set NAME LIMIT --currency SAR")
    _table(output, found)


@command
def show_budget(output: Output, name: Name, month: Month = None) -> None:
    """Show a budget as it stands in a month."""
    with connect() as client:
        found = client.budget(name, month)
    output.value(found)
    _table(output, [found])


@command
def reserve(
    output: Output,
    name: Name,
    amount: Exact,
    seconds: Annotated[int, typer.Option(min=1, max=86_400, help="It expires after these.")] = 300,
) -> None:
    """Hold an amount before it is spent."""
    with connect() as client:
        _tell(output, client.reserve(name, amount, seconds=seconds))


@command
def settle(output: Output, name: Name, id: ReservationId, actual: Exact) -> None:
    """Record what was really spent, be it more than was held."""
    with connect() as client:
        _tell(output, client.settle(name, id, actual))


@command
def release(output: Output, name: Name, id: ReservationId) -> None:
    """Give a reservation back unspent."""
    with connect() as client:
        _tell(output, client.release(name, id))


@command
def reservation(output: Output, name: Name, id: ReservationId) -> None:
    """Show a reservation, whatever became of it."""
    with connect() as client:
        _tell(output, client.reservation(name, id))


def _table(output: Output, budgets: list[Budget]) -> None:
    output.table(
        ["name", "month", "unit", "limit", "spent", "held", "left", "reached"],
        [
            [
                each.name,
                each.period,
                each.currency or each.meter or "",
                *(format(number, "f") for number in (each.limit, each.spent, each.held)),
                format(each.left, "f"),
                ", ".join(f"{percent} %" for percent in each.reached),
            ]
            for each in budgets
        ],
    )


def _tell(output: Output, found: Reservation) -> None:
    output.value(found)
    output.say(f"{found.id}  {found.state}", style="bold")
    output.facts(
        [
            ("budget", f"{found.budget}, {found.period}"),
            ("amount", format(found.amount, "f")),
            ("expires", f"{found.expires_at:%Y-%m-%d %H:%M:%S %Z}"),
            ("spent", None if found.actual is None else format(found.actual, "f")),
            ("overrun", format(found.overrun, "f") if found.overrun else None),
        ]
    )
