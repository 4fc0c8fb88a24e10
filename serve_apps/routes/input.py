"""What requests may carry: bodies, names, cursors and page sizes."""

from __future__ import annotations

import math
from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict, model_validator

NAME = r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$"
MOST_NESTED = 100
LARGEST_VERSION = 2**31 - 1

PlatformPath = Annotated[
    str,
    Path(
        description="Name of the platform.",
        pattern=NAME,
        min_length=2,
        max_length=40,
        examples=["clinic"],
    ),
]
TenantPath = Annotated[
    str, Path(description="Name of the tenant.", pattern=NAME, min_length=2, max_length=40)
]
RunPath = Annotated[str, Path(description="Id of the run.", pattern=r"^run_[0-9a-f]{32}$")]
SubjectPath = Annotated[
    str,
    Path(
        description="Id of the subject, a pseudonym.",
        pattern=r"^[a-z][a-z0-9-]*:[A-Za-z0-9][A-Za-z0-9._-]*$",
        max_length=120,
        examples=["user:0198c3"],
    ),
]
TokenPath = Annotated[str, Path(description="Id of the token.", pattern=r"^[0-9a-f]{32}$")]
After = Annotated[
    str | None,
    Query(
        description="`next` of the page before; left out for the first page.",
        pattern=r"^[0-9a-z_-]+$",
        min_length=1,
        max_length=100,
    ),
]
RegionPath = Annotated[
    str,
    Path(description="Name of the region.", pattern=NAME, max_length=40, examples=["default"]),
]
BudgetPath = Annotated[
    str,
    Path(
        description="Name of the budget.",
        pattern=NAME,
        min_length=2,
        max_length=40,
        examples=["ai-calls"],
    ),
]
ReservationPath = Annotated[
    str, Path(description="Id of the reservation.", pattern=r"^rsv_[0-9a-f]{32}$")
]
EntryPath = Annotated[
    str, Path(description="Id of the ledger entry.", pattern=r"^ent_[0-9a-f]{32}$")
]
PeriodPath = Annotated[
    str,
    Path(description="A month (UTC).", pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])$"),
]
EventIdPath = Annotated[
    str,
    Path(
        description="Id of the event (a UUID).",
        pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
    ),
]
AfterEvent = Annotated[
    str | None,
    Query(
        description="`next` of the page before; left out for the first page.",
        pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
    ),
]
Place = Annotated[
    str | None,
    Query(
        description="`next` of the page before; left out for the first page.",
        pattern=r"^[0-9a-f]+$",
        min_length=1,
        max_length=4000,
    ),
]
Limit = Annotated[int, Query(description="Most items on a page.", ge=1, le=200)]
Version = Annotated[int | None, Query(ge=1, le=LARGEST_VERSION)]


class RequestBody(BaseModel):
    """Base of every body: unknown fields are errors, and so is what JSON storage can't keep."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _check_storable(cls, data: Any) -> Any:
        check_storable(data)
        return data


class EmptyBody(RequestBody):
    """An empty object: the address says it all."""


def check_storable(data: Any) -> None:
    """Raise `ValueError` for text with NUL or unpaired surrogates, numbers that are none, and
    values nested deeper than `MOST_NESTED`."""
    level: list[Any] = [data]
    for _ in range(MOST_NESTED + 2):
        if not level:
            return
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                below.extend(value)
                below.extend(value.values())
            elif isinstance(value, list):
                below.extend(value)
            elif isinstance(value, str):
                _check_text(value)
            elif isinstance(value, float) and not math.isfinite(value):
                raise ValueError("NaN and Infinity are no JSON numbers")
        level = below
    raise ValueError(f"the value is nested deeper than {MOST_NESTED} levels")


def _check_text(text: str) -> None:
    if "\0" in text:
        raise ValueError("the text holds a NUL character")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("the text holds half of a surrogate pair")
