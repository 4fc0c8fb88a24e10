"""The double-entry ledger of charges.

An entry is a set of postings that sum to zero in each currency; debits are positive, credits
negative. Entries are never changed. What turns out wrong, and what arrives after its month was
closed, is a new entry that names the one it corrects.

| account | holds |
|---|---|
| `usage:<meter>` | what was consumed, at its price (debit) |
| `payable` | what is owed for it and not yet on a closed statement (credit) |
| `invoiced` | what closed statements ask for (credit) |
| `rounding` | between exact charges and the minor units of a statement |
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar, Self

from pydantic import Field

from engine.kernel.contracts import Document, Event, Message, Query, View
from engine.kernel.dispatch import Handlers, Reader, Transaction
from engine.kernel.errors import InvalidInput, NotFound
from engine.kernel.ids import new_id
from engine.ledger.metering.money import EXACT, CurrencyCode, Money, Sum
from engine.ledger.metering.store import Charge, Entry, Metering
from engine.ledger.metering.store import Posting as StoredPosting

handlers = Handlers()

PAYABLE, INVOICED, ROUNDING = "payable", "invoiced", "rounding"


class EntryKind(StrEnum):
    RATING = "rating"
    CORRECTION = "correction"
    CLOSING = "closing"


class Posting(Message):
    account: str
    currency: CurrencyCode
    amount: Sum


class EntryPosted(Event):
    type = "ledger.entry_posted"
    id: str
    kind: EntryKind
    period: str
    corrects: str | None = None
    reason: str = ""
    postings: list[Posting]
    at: datetime


class LedgerEntry(Document):
    kind = "ledger_entry"
    events = (EntryPosted,)

    id: str
    entry_kind: EntryKind
    period: str
    corrects: str | None
    reason: str
    postings: list[Posting]
    at: datetime

    @classmethod
    def fold(cls, state: Self | None, event: Event) -> Self:
        assert state is None and isinstance(event, EntryPosted)
        return cls(entry_kind=event.kind, **event.model_dump(exclude={"kind"}))


class MonthClosed(Event):
    """`lines` is the digest of the blob that holds the exact lines; `totals` are rounded."""

    type = "statement.closed"
    period: str
    entry: str
    lines: str
    totals: list[Money]
    closed_by: str
    at: datetime


class ClosedMonth(Document):
    kind = "statement"
    events = (MonthClosed,)

    period: str
    entry: str
    lines: str
    totals: list[Money]
    closed_by: str
    at: datetime

    @classmethod
    def fold(cls, state: Self | None, event: Event) -> Self:
        assert state is None and isinstance(event, MonthClosed)
        return cls.model_validate(event.model_dump())


class GetEntry(Query):
    permission: ClassVar[str] = "usage.read"
    id: str


class EntryView(View):
    id: str
    kind: EntryKind
    period: str
    corrects: str | None = Field(description="The entry that this one corrects.")
    reason: str
    postings: list[Posting]
    at: datetime


def usage_account(meter: str) -> str:
    return f"usage:{meter}"


def charge_postings(charges: Sequence[tuple[str, str, Decimal]]) -> list[Posting]:
    """Debit each meter's account and credit what is payable; `charges`: meter, currency, amount."""
    sums: dict[tuple[str, str], Decimal] = {}
    for meter, currency, amount in charges:
        for account, signed in ((usage_account(meter), amount), (PAYABLE, EXACT.minus(amount))):
            key = (account, currency)
            sums[key] = EXACT.add(sums.get(key, Decimal(0)), signed)
    return [
        Posting(account=account, currency=currency, amount=amount)
        for (account, currency), amount in sorted(sums.items())
    ]


async def post(tx: Transaction, entry: EntryPosted, charges: Sequence[Charge] = ()) -> EntryPosted:
    """Post an entry with its charges; what is for a closed month becomes a correction of it.

    Raises `InvalidInput` unless the postings sum to zero in each currency.
    """
    require_balanced(entry.postings)
    closed = await tx.find(ClosedMonth, entry.period)
    if closed is not None:
        late = {"kind": EntryKind.CORRECTION, "corrects": entry.corrects or closed.document.entry}
        entry = entry.model_copy(update=late)
    stored = Entry(
        id=entry.id,
        kind=entry.kind.value,
        period=entry.period,
        corrects=entry.corrects,
        postings=[StoredPosting(p.account, p.currency, p.amount) for p in entry.postings],
        at=entry.at,
    )
    await tx.part(Metering).post(stored, charges)
    await tx.append(LedgerEntry, entry.id, [entry], expected=0)
    return entry


def new_entry_id() -> str:
    return new_id("ent")


def require_balanced(postings: Sequence[Posting]) -> None:
    sums: dict[str, Decimal] = {}
    for posting in postings:
        before = sums.get(posting.currency, Decimal(0))
        sums[posting.currency] = EXACT.add(before, posting.amount)
    unbalanced = sorted(currency for currency, rest in sums.items() if rest != 0)
    if unbalanced or not sums:
        raise InvalidInput(f"The postings do not sum to zero in {', '.join(unbalanced) or 'any'}.")


@handlers.query(GetEntry, EntryView)
async def get_entry(query: GetEntry, reader: Reader) -> EntryView:
    found = await reader.find(LedgerEntry, query.id)
    if found is None:
        raise NotFound(f"There is no entry {query.id!r}.")
    shown = found.document.model_dump(exclude={"entry_kind"})
    return EntryView(kind=found.document.entry_kind, **shown)
