"""What became of every construct of an imported source."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

Outcome = Literal["carried", "changed", "dropped"]


class Place(NamedTuple):
    """Where something stands in the source, from 1; None where the source has no lines."""

    line: int | None = None
    column: int | None = None


NOWHERE = Place()


@dataclass(frozen=True, slots=True)
class Note:
    """Why something is not taken over as it is, and what its author can do about it."""

    reason: str
    mend: str | None = None


class Entry(BaseModel):
    """One construct: `carried` whole, `changed` on the way, or `dropped`.

    `source` is its name in the source, `path` its dotted place in the Blueprint (None when it was
    dropped). What was changed or dropped always has a `reason`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    outcome: Outcome
    kind: str
    source: str
    line: int | None = None
    column: int | None = None
    path: str | None = None
    reason: str | None = None
    mend: str | None = None


class Report(BaseModel):
    """The account of one import, in the order of the source."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: str
    carried: int
    changed: int
    dropped: int
    entries: list[Entry]


def report_of(name: str, entries: list[Entry]) -> Report:
    """The report over `entries`; equal entries in the same order give equal reports."""
    ordered = sorted(entries, key=lambda entry: (entry.line or 0, entry.column or 0))
    counts = Counter(entry.outcome for entry in ordered)
    return Report(
        format=name,
        carried=counts["carried"],
        changed=counts["changed"],
        dropped=counts["dropped"],
        entries=ordered,
    )
