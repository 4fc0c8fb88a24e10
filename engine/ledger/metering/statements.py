"""The monthly statement of a tenant, and its closing.

Charges are exact; a statement is in whole minor units. Its rule of rounding: the total of each
currency is the exact sum rounded half to even, and the lines are rounded so that they sum to it
(`money.rounded_lines`). A closed statement never changes: charges that come after are shown beside
it as corrections, rounded by the same rule.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, PlainSerializer

from engine.kernel.clock import system_clock
from engine.kernel.contracts import Call, Command, Event, Query, View, canonical_json
from engine.kernel.dispatch import Handlers, Reader, Transaction
from engine.kernel.errors import Conflict
from engine.ledger.metering.entries import (
    INVOICED,
    PAYABLE,
    ROUNDING,
    ClosedMonth,
    EntryKind,
    EntryPosted,
    MonthClosed,
    Posting,
    new_entry_id,
    post,
)
from engine.ledger.metering.money import (
    EXACT,
    Money,
    Sum,
    minor_units,
    plain,
    rounded_lines,
    total_of,
)
from engine.ledger.metering.periods import Period, end_of
from engine.ledger.metering.store import ChargedLine, Metering
from engine.ledger.metering.usage import Meter, UnratedUsage, unrated_view

handlers = Handlers()
now: Callable[[], datetime] = system_clock

ROUNDING_RULE = (
    "Each total is the exact sum rounded half to even to the currency's minor unit; lines are"
    " rounded by largest remainder so that they sum to it."
)

Rounded = Annotated[
    Decimal,
    PlainSerializer(lambda amount: format(amount, "f"), return_type=str, when_used="json"),
]
"""An amount with as many places as its currency has."""


class CloseMonth(Command):
    """Fix the statement of a month that is over and whose usage has all been charged."""

    permission: ClassVar[str] = "statement.close"
    emits: ClassVar[tuple[type[Event], ...]] = (EntryPosted, MonthClosed)

    period: Period


class GetStatement(Query):
    permission: ClassVar[str] = "usage.read"
    period: Period


class StatementLine(View):
    platform: str | None
    user: str | None
    meter: Meter
    quantity: Sum
    amount: Rounded


class CurrencyStatement(View):
    """`due` is `total` and `corrected` together."""

    currency: str
    lines: list[StatementLine]
    total: Rounded
    corrections: list[StatementLine]
    corrected: Rounded
    due: Rounded


class StatementView(View):
    period: str
    state: Literal["open", "closed"]
    closed_at: datetime | None
    entry: str | None = Field(description="The entry that closed the month.")
    currencies: list[CurrencyStatement]
    unrated: list[UnratedUsage] = Field(description="Usage of the month that has no charge yet.")
    rounding: str


@handlers.command(CloseMonth, StatementView)
async def close_month(command: CloseMonth, tx: Transaction, call: Call) -> StatementView:
    metering, at = tx.part(Metering), now()
    await metering.lock_rating()
    if await tx.find(ClosedMonth, command.period) is not None:
        raise Conflict(f"The month {command.period} is closed.")
    if at < end_of(command.period):
        raise Conflict(f"The month {command.period} is not over.", mend="Close it when it is.")
    await _refuse_unrated(metering, command.period)
    lines = sorted(await metering.charged(command.period), key=_order)
    if not lines:
        raise Conflict(f"The month {command.period} has no charges to close.")
    entry = EntryPosted(
        id=new_entry_id(),
        kind=EntryKind.CLOSING,
        period=command.period,
        postings=[posting for money in _exact(lines) for posting in _closing(money)],
        at=at,
    )
    await post(tx, entry)
    closed = MonthClosed(
        period=command.period,
        entry=entry.id,
        lines=await tx.put_blob(_packed(lines)),
        totals=[money.rounded() for money in _exact(lines)],
        closed_by=call.caller.id,
        at=at,
    )
    await tx.append(ClosedMonth, command.period, [closed], expected=0)
    return await _statement(tx, command.period)


async def _refuse_unrated(metering: Metering, period: str) -> None:
    unrated = await metering.unrated(period)
    if unrated:
        raise Conflict(
            f"The month {period} has usage without a charge.",
            mend="Publish the prices that are missing and rate the usage first.",
            unrated=[
                {"region": each.region, "meter": each.meter, "events": each.events}
                for each in unrated
            ],
        )


def _closing(exact: Money) -> list[Posting]:
    """Move what is payable to what is invoiced; the rest is rounding."""
    asked = exact.rounded()
    rest = asked - exact
    return [
        Posting(account=PAYABLE, currency=exact.currency, amount=exact.amount),
        Posting(account=INVOICED, currency=exact.currency, amount=(-asked).amount),
        Posting(account=ROUNDING, currency=exact.currency, amount=rest.amount),
    ]


@handlers.query(GetStatement, StatementView)
async def get_statement(query: GetStatement, reader: Reader) -> StatementView:
    return await _statement(reader, query.period)


async def _statement(reader: Reader, period: str) -> StatementView:
    metering = reader.part(Metering)
    current = sorted(await metering.charged(period), key=_order)
    found = await reader.find(ClosedMonth, period)
    closed = found.document if found else None
    fixed = _unpacked(await reader.blob(closed.lines)) if closed else current
    late = _differences(fixed, current) if closed else []
    currencies = sorted({line.currency for line in [*fixed, *late]})
    return StatementView(
        period=period,
        state="closed" if closed else "open",
        closed_at=closed.at if closed else None,
        entry=closed.entry if closed else None,
        currencies=[_currency(each, fixed, late) for each in currencies],
        unrated=[unrated_view(each) for each in await metering.unrated(period)],
        rounding=ROUNDING_RULE,
    )


def _currency(
    currency: str, fixed: Sequence[ChargedLine], late: Sequence[ChargedLine]
) -> CurrencyStatement:
    lines, total = _lines(currency, fixed)
    corrections, corrected = _lines(currency, late)
    return CurrencyStatement(
        currency=currency,
        lines=lines,
        total=total,
        corrections=corrections,
        corrected=corrected,
        due=EXACT.add(total, corrected),
    )


def _lines(currency: str, charged: Sequence[ChargedLine]) -> tuple[list[StatementLine], Decimal]:
    places = minor_units(currency)
    own = [line for line in charged if line.currency == currency]
    amounts = rounded_lines([line.amount for line in own], places)
    lines = [
        StatementLine(
            platform=line.platform or None,
            user=line.user or None,
            meter=Meter(line.meter),
            quantity=line.quantity,
            amount=amount,
        )
        for line, amount in zip(own, amounts, strict=True)
    ]
    zero = Decimal(0).scaleb(-places)
    return lines, EXACT.add(zero, total_of(amounts))


def _exact(lines: Sequence[ChargedLine]) -> list[Money]:
    """The exact total of each currency."""
    return [
        Money(
            amount=total_of(line.amount for line in lines if line.currency == currency),
            currency=currency,
        )
        for currency in sorted({line.currency for line in lines})
    ]


def _differences(before: Sequence[ChargedLine], after: Sequence[ChargedLine]) -> list[ChargedLine]:
    zero = Decimal(0)
    known = {_order(line): line for line in before}
    found = []
    for line in after:
        was = known.get(_order(line))
        quantity = EXACT.subtract(line.quantity, was.quantity if was else zero)
        amount = EXACT.subtract(line.amount, was.amount if was else zero)
        if quantity or amount:
            found.append(
                ChargedLine(line.platform, line.user, line.meter, line.currency, quantity, amount)
            )
    return found


def _order(line: ChargedLine) -> tuple[str, str, str, str]:
    return line.currency, line.platform, line.user, line.meter


def _packed(lines: Sequence[ChargedLine]) -> bytes:
    rows = [[*_order(line), plain(line.quantity), plain(line.amount)] for line in lines]
    return canonical_json(rows).encode()


def _unpacked(content: bytes) -> list[ChargedLine]:
    rows: list[list[Any]] = json.loads(content)
    return [
        ChargedLine(platform, user, meter, currency, Decimal(quantity), Decimal(amount))
        for currency, platform, user, meter, quantity, amount in rows
    ]
