"""Literals as Python source, for both printers that write Python."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any
from uuid import UUID


def python_literal(value: Any, *, decimal: bool = False) -> str:
    """A value as Python source; needs `dt`, `Decimal` and `UUID`. `decimal` prints no plain int."""
    if isinstance(value, bool) or value is None:
        return repr(value)
    if isinstance(value, Decimal) or (decimal and isinstance(value, int)):
        return f'Decimal("{Decimal(value):f}")'
    if isinstance(value, dt.datetime):
        fields = [value.year, value.month, value.day, value.hour, value.minute, value.second]
        fields += [value.microsecond] if value.microsecond else []
        return f"dt.datetime({', '.join(map(str, fields))}, tzinfo=dt.UTC)"
    if isinstance(value, dt.date):
        return f"dt.date({value.year}, {value.month}, {value.day})"
    if isinstance(value, dt.time):
        return f"dt.time({value.hour}, {value.minute}, {value.second})"
    if isinstance(value, UUID):
        return f'UUID("{value}")'
    return repr(value)
