"""Usage: what was consumed, by whom, where and when.

A usage event is named by its source and the source's own id. Sending it again changes nothing;
sending other content under the same name is an error. It belongs to the period in which it
occurred, however late it arrives.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import Field, StringConstraints

from engine.kernel.clock import system_clock
from engine.kernel.contracts import Call, Command, Event, Message, Query, View, digest_json
from engine.kernel.dispatch import Handlers, Reader, Transaction
from engine.kernel.errors import Conflict, InvalidInput
from engine.ledger.metering.money import Quantity, Sum, plain
from engine.ledger.metering.periods import Instant, Period, end_of, period_of, start_of
from engine.ledger.metering.store import Metering, Unrated, Usage, UsageFilter, UsageTotal

handlers = Handlers()
now: Callable[[], datetime] = system_clock

MOST_EVENTS = 1000
TOLERANCE = timedelta(minutes=5)
"""How far ahead of this clock a producer's may be."""
MOST_SHOWN = 50


class Meter(StrEnum):
    COMPUTE_SECONDS = "compute_seconds"
    INPUT_TOKENS = "input_tokens"
    OUTPUT_TOKENS = "output_tokens"
    STORAGE_BYTE_HOURS = "storage_byte_hours"
    EGRESS_BYTES = "egress_bytes"
    PROVIDER_CALLS = "provider_calls"
    BUILDS = "builds"


WHOLE = frozenset(
    {Meter.INPUT_TOKENS, Meter.OUTPUT_TOKENS, Meter.EGRESS_BYTES}
    | {Meter.PROVIDER_CALLS, Meter.BUILDS}
)
"""Meters that count things: half of one is an error of the producer."""

Source = Annotated[
    str, StringConstraints(pattern=r"^[a-z][a-z0-9._-]*$", max_length=64, min_length=1)
]
Named = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]+$", max_length=200, min_length=1)]
Region = Annotated[
    str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=40, min_length=1)
]
PlatformName = Annotated[
    str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=40, min_length=2)
]
AttributeName = Annotated[
    str, StringConstraints(pattern=r"^[a-z][a-z0-9_.-]*$", max_length=60, min_length=1)
]
AttributeText = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$", max_length=200)]
DEFAULT_REGION = "default"


class UsageEvent(Message):
    """One consumption. `quantity` is in the meter's unit, which its name says."""

    source: Source = Field(description="Who measured it.", examples=["gateway"])
    id: Named = Field(description="The source's own name for it.", examples=["req-81f2"])
    meter: Meter
    quantity: Quantity
    user: Named | None = None
    platform: PlatformName | None = None
    region: Region = DEFAULT_REGION
    occurred_at: Instant
    attributes: dict[AttributeName, AttributeText] = Field({}, max_length=20)


class RecordUsage(Command):
    """Store up to a thousand usage events, all or none.

    It has no event of its own: the rows are themselves an append-only record of what happened, with
    their source, and repeating the command changes nothing. An event per row would double a
    high-volume series for no fact that the row does not hold.
    """

    permission: ClassVar[str] = "usage.write"
    emits: ClassVar[tuple[type[Event], ...]] = ()

    events: list[UsageEvent] = Field(min_length=1, max_length=MOST_EVENTS)


class UsageRecorded(View):
    accepted: int
    duplicates: int = Field(description="Were there before, with the same content.")


class SumUsage(Query):
    """Quantities by period, meter, platform and user, from `first` to `last` inclusive."""

    permission: ClassVar[str] = "usage.read"

    first: Period | None = None
    last: Period | None = None
    meter: Meter | None = None
    platform: PlatformName | None = None
    user: Named | None = None
    after: str | None = None
    limit: int = Field(50, ge=1, le=200)


class UsageSum(View):
    period: str
    meter: Meter
    platform: str | None
    user: str | None
    quantity: Sum
    events: int


class UsageSums(View):
    items: list[UsageSum]
    next: str | None = None


class ListUnrated(Query):
    permission: ClassVar[str] = "usage.read"


class UnratedUsage(View):
    """Usage that has no charge yet; `price_missing` when no price covers it."""

    period: str
    region: str
    meter: Meter
    price_missing: bool
    quantity: Sum
    events: int


class UnratedList(View):
    items: list[UnratedUsage]


@dataclass(frozen=True, slots=True)
class _Wrong:
    at: int
    field: str
    message: str

    def place(self) -> dict[str, str]:
        return {"path": f"events.{self.at}.{self.field}", "message": self.message, "in": "body"}


@handlers.command(RecordUsage, UsageRecorded)
async def record_usage(command: RecordUsage, tx: Transaction, call: Call) -> UsageRecorded:
    return await record(tx, command.events, now())


async def record(tx: Transaction, events: Sequence[UsageEvent], at: datetime) -> UsageRecorded:
    """Store usage as part of the caller's transaction.

    Raises `InvalidInput` for what can't be, and `Conflict` naming the events whose content differs
    from what was stored under their names.
    """
    wrong = [each for number, event in enumerate(events) for each in _wrong(number, event, at)]
    if wrong:
        first = wrong[0].place()
        raise InvalidInput(
            f"{first['path']}: {first['message']}.",
            mend="Correct the places that are listed and send the batch again.",
            errors=[each.place() for each in wrong[:MOST_SHOWN]],
        )
    rows: dict[tuple[str, str], Usage] = {}
    differing = []
    for event in events:
        row = _row(event)
        if rows.setdefault(row.key, row).digest != row.digest:
            differing.append(row.key)
    _refuse(differing)
    stored = await tx.part(Metering).add(sorted(rows.values(), key=lambda row: row.key))
    _refuse([key for key, digest in stored.items() if rows[key].digest != digest])
    accepted = len(rows) - len(stored)
    return UsageRecorded(accepted=accepted, duplicates=len(events) - accepted)


def _wrong(number: int, event: UsageEvent, at: datetime) -> list[_Wrong]:
    found = []
    if event.occurred_at > at + TOLERANCE:
        found.append(_Wrong(number, "occurred_at", "the instant is in the future"))
    if event.meter in WHOLE and event.quantity != event.quantity.to_integral_value():
        found.append(_Wrong(number, "quantity", f"{event.meter} are counted in whole numbers"))
    return found


def _refuse(differing: Sequence[tuple[str, str]]) -> None:
    if differing:
        source, id = sorted(differing)[0]
        raise Conflict(
            f"The usage event {id!r} of {source!r} was sent before with other content.",
            mend="Send a correction under a new id, or leave the events that are named out.",
            conflicts=[{"source": s, "id": i} for s, i in sorted(differing)[:MOST_SHOWN]],
        )


def _row(event: UsageEvent) -> Usage:
    content = [
        event.meter.value,
        plain(event.quantity),
        event.user,
        event.platform,
        event.region,
        event.occurred_at.isoformat(),
        event.attributes,
    ]
    return Usage(
        source=event.source,
        id=event.id,
        meter=event.meter.value,
        quantity=event.quantity,
        user=event.user or "",
        platform=event.platform or "",
        region=event.region,
        occurred_at=event.occurred_at,
        attributes=event.attributes,
        digest=digest_json(content),
    )


@handlers.query(SumUsage, UsageSums)
async def sum_usage(query: SumUsage, reader: Reader) -> UsageSums:
    this_month = period_of(now())
    first = query.first or query.last or this_month
    last = query.last or max(first, this_month)
    if first > last:
        raise InvalidInput("The first period is after the last.", mend="Exchange them.")
    wanted = UsageFilter(
        start=start_of(first),
        end=end_of(last),
        meter=query.meter.value if query.meter else None,
        platform=query.platform,
        user=query.user,
    )
    after = None if query.after is None else _place(query.after)
    found = await reader.part(Metering).totals(wanted, after=after, limit=query.limit + 1)
    page = found[: query.limit]
    return UsageSums(
        items=[_sum(each) for each in page],
        next=_cursor(page[-1]) if len(found) > len(page) else None,
    )


def _sum(total: UsageTotal) -> UsageSum:
    return UsageSum(
        period=total.period,
        meter=Meter(total.meter),
        platform=total.platform or None,
        user=total.user or None,
        quantity=total.quantity,
        events=total.events,
    )


def _cursor(total: UsageTotal) -> str:
    place = [total.period, total.meter, total.platform, total.user]
    return json.dumps(place).encode().hex()


def _place(cursor: str) -> list[str]:
    try:
        found: Any = json.loads(bytes.fromhex(cursor))
    except ValueError:
        found = None
    if isinstance(found, list) and [type(each) for each in found] == [str] * 4:
        place = [str(each) for each in found]
        if not any("\0" in each for each in place):
            return place
    raise InvalidInput("That is no cursor of this list.", mend="Send `next` of the page before.")


@handlers.query(ListUnrated, UnratedList)
async def list_unrated(query: ListUnrated, reader: Reader) -> UnratedList:
    return UnratedList(items=[unrated_view(each) for each in await reader.part(Metering).unrated()])


def unrated_view(unrated: Unrated) -> UnratedUsage:
    return UnratedUsage(
        period=unrated.period,
        region=unrated.region,
        meter=Meter(unrated.meter),
        price_missing=unrated.awaiting,
        quantity=unrated.quantity,
        events=unrated.events,
    )
