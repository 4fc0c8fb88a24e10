"""Time, as something that is handed in: rules never read the machine's clock themselves."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns the present instant, always with the UTC time zone."""


def system_clock() -> datetime:
    return datetime.now(UTC)
