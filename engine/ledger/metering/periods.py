"""Billing periods: calendar months in UTC, written `YYYY-MM`."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, Field

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)

Period = Annotated[str, Field(pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])$", examples=["2026-05"])]


def _in_utc(instant: datetime) -> datetime:
    try:
        moved = instant.astimezone(UTC)
    except OverflowError:
        raise ValueError("the instant is out of range") from None
    if not EARLIEST <= moved < LATEST:
        raise ValueError("the instant is not between 2000 and 2100")
    return moved


Instant = Annotated[AwareDatetime, AfterValidator(_in_utc)]
"""An instant with its time zone, moved to UTC."""


def period_of(instant: datetime) -> str:
    moved = instant.astimezone(UTC)
    return f"{moved.year:04}-{moved.month:02}"


def start_of(period: str) -> datetime:
    year, month = period.split("-")
    return datetime(int(year), int(month), 1, tzinfo=UTC)


def end_of(period: str) -> datetime:
    """The first instant after the period."""
    start = start_of(period)
    year, month = divmod(start.year * 12 + start.month, 12)
    return datetime(year, month + 1, 1, tzinfo=UTC)


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
