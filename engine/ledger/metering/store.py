"""What metering keeps in tables of its own, as contracts that storage implements.

Usage is a high-volume series, charges and postings are derived from it row by row, and a budget's
counters change under races: none of these are documents. Everything here happens inside the
caller's transaction and tenant (`Reader.part`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Protocol

Key = tuple[str, str]
"""Source and id of a usage event: together they name it for ever."""


@dataclass(frozen=True, slots=True)
class Consumption:
    """What a usage event is charged by. `user` and `platform` are '' where there is none."""

    source: str
    id: str
    meter: str
    quantity: Decimal
    user: str
    platform: str
    region: str
    occurred_at: datetime

    @property
    def key(self) -> Key:
        return self.source, self.id


@dataclass(frozen=True, slots=True)
class Usage(Consumption):
    """A whole usage event. `digest` is of its content: equal content, equal digest."""

    attributes: Mapping[str, str]
    digest: str


@dataclass(frozen=True, slots=True)
class UsageFilter:
    """Which usage to sum up: `start` inclusive, `end` exclusive, None for any."""

    start: datetime
    end: datetime
    meter: str | None = None
    platform: str | None = None
    user: str | None = None


@dataclass(frozen=True, slots=True)
class UsageTotal:
    """The place in the order of totals is `(period, meter, platform, user)`."""

    period: str
    meter: str
    platform: str
    user: str
    quantity: Decimal
    events: int


@dataclass(frozen=True, slots=True)
class Unrated:
    """Usage without a charge. `awaiting`: there was no price when it was tried."""

    period: str
    region: str
    meter: str
    awaiting: bool
    quantity: Decimal
    events: int


@dataclass(frozen=True, slots=True)
class TierKey:
    """Whose quantities count together towards the tiers of a price."""

    period: str
    region: str
    meter: str
    version: int


@dataclass(frozen=True, slots=True)
class Charge:
    """What one usage event costs, exactly. `rated` is False for a later correction of a charge."""

    source: str
    id: str
    period: str
    currency: str
    amount: Decimal
    version: int
    rated: bool = True


@dataclass(frozen=True, slots=True)
class Posting:
    """Debits are positive, credits negative."""

    account: str
    currency: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Entry:
    """A set of postings that sum to zero in each currency; never changed once it is there."""

    id: str
    kind: str
    period: str
    corrects: str | None
    postings: Sequence[Posting]
    at: datetime


@dataclass(frozen=True, slots=True)
class RatedUsage:
    """A charge together with the usage that it is for and the entry that posted it."""

    charge: Charge
    entry: str
    meter: str
    platform: str
    user: str


@dataclass(frozen=True, slots=True)
class ChargedLine:
    """Exact sum of the charges of one period."""

    platform: str
    user: str
    meter: str
    currency: str
    quantity: Decimal
    amount: Decimal


@dataclass(frozen=True, slots=True)
class DayCost:
    """Exact sum of the charges for what occurred on one UTC day."""

    currency: str
    day: date
    amount: Decimal


class Metering(Protocol):
    """Usage, charges and the ledger of one tenant."""

    async def add(self, usage: Sequence[Usage]) -> Mapping[Key, str]:
        """Store what is new; returns the digests of what was there before under its key.

        The keys must be distinct. Safe beside other writers of the same keys: exactly one stores.
        """
        ...

    async def totals(
        self, wanted: UsageFilter, *, after: Sequence[str] | None, limit: int
    ) -> Sequence[UsageTotal]:
        """Sums past the place `after`, in order."""
        ...

    async def lock_rating(self) -> None:
        """Wait until no other transaction of the tenant rates, publishes or closes."""
        ...

    async def to_rate(self, limit: int) -> Sequence[Consumption]:
        """Usage that has no charge and may have a price."""
        ...

    async def await_price(self, keys: Sequence[Key]) -> None:
        """Set usage aside until `wake`."""
        ...

    async def wake(self, region: str, meters: Sequence[str]) -> int:
        """Let usage that waits for one of these prices be rated again; returns how much."""
        ...

    async def unrated(self, period: str | None = None) -> Sequence[Unrated]: ...

    async def tier_counts(self, keys: Iterable[TierKey]) -> Mapping[TierKey, Decimal]: ...

    async def set_tier_counts(self, counts: Mapping[TierKey, Decimal]) -> None: ...

    async def post(self, entry: Entry, charges: Sequence[Charge]) -> None:
        """Post an entry with the charges that it stands for.

        Rated charges take their usage off what is to be rated. The database refuses a second
        rating of one usage event and postings that don't sum to zero.
        """
        ...

    async def rated(self, key: Key) -> RatedUsage | None: ...

    async def charged(self, period: str) -> Sequence[ChargedLine]:
        """By platform, user, meter and currency, in this order."""
        ...

    async def days(self, start: datetime, end: datetime) -> Sequence[DayCost]: ...


@dataclass(frozen=True, slots=True)
class Standing:
    """A budget in one period. `held` is reserved and not yet settled."""

    budget: str
    period: str
    limit: Decimal
    held: Decimal
    spent: Decimal


@dataclass(frozen=True, slots=True)
class Hold:
    """A live reservation on a budget."""

    id: str
    budget: str
    period: str
    amount: Decimal
    expires_at: datetime


class Holds(Protocol):
    """The counters of budgets and the reservations that are live."""

    async def set_limit(self, budget: str, limit: Decimal, *, period: str) -> None:
        """The limit from `period` on; earlier periods keep theirs."""
        ...

    async def standing(self, budget: str, period: str) -> Standing | None:
        """None for a budget that has no limit set."""
        ...

    async def take(self, hold: Hold) -> bool:
        """Reserve if `spent + held + amount <= limit`; one conditional statement decides."""
        ...

    async def drop(self, id: str) -> Hold | None:
        """End a live reservation and give its amount back; None when it is not live any more."""
        ...

    async def spend(self, budget: str, period: str, amount: Decimal) -> Standing:
        """Add to what is spent, whatever the limit: it has happened."""
        ...

    async def expired(
        self, now: datetime, *, limit: int, budget: str | None = None
    ) -> Sequence[Hold]:
        """Live reservations past their time that nobody else is ending, locked for this one."""
        ...
