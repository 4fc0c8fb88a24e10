"""The operations on subjects, the people that data is about, and their answers."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from webnova.client.models import Answer
from webnova.client.operations import Operation, path, reading


class Recipient(Answer):
    """The public key for which others seal the keys of a tenant's subjects."""

    recipient: str


class Subject(Answer):
    """Whether personal data can be read. `withheld`: its key was not brought along by an import."""

    subject: str
    state: Literal["held", "erased", "withheld"]
    since: datetime
    erased_at: datetime | None = None
    reason: str | None = None


def recipient() -> Operation[Recipient]:
    return Operation("GET", path("subjects", "recipient"), reading(Recipient))


def subject(id: str) -> Operation[Subject]:
    return Operation("GET", path("subjects", id), reading(Subject))


def erase_subject(id: str, reason: str, key: str | None = None) -> Operation[Subject]:
    read, body = reading(Subject), {"reason": reason}
    return Operation("POST", path("subjects", id, "erasure"), read, json=body, key=key)
