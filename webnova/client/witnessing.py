"""The operations on the tenant as a witness of others' logs, and their answers.

`client.do(witnessing.trust_log(vkey))` sends one; `client.pages(witnessing.witnessed_logs)` walks
through all pages of a list.
"""

from __future__ import annotations

from datetime import datetime

import httpx

from webnova.client.models import Answer, Page
from webnova.client.operations import Operation, path, reading


class Witness(Answer):
    """The tenant as a witness: its name and keys, the one to hand out first."""

    name: str
    vkeys: list[str]


class WitnessedLog(Answer):
    """A log and the last checkpoint of it that was cosigned; None when there is none yet."""

    id: str
    origin: str
    vkeys: list[str]
    size: int | None
    root: str | None
    note: str | None
    cosigned_at: datetime | None


def witness() -> Operation[Witness]:
    return Operation("GET", path("audit", "witness"), reading(Witness))


def witnessed_logs(after: str | None = None, limit: int = 50) -> Operation[Page[WitnessedLog]]:
    params = {"after": after, "limit": limit}
    place = path("audit", "witness", "logs")
    return Operation("GET", place, reading(Page[WitnessedLog]), params=params)


def trust_log(vkey: str, *, key: str | None = None) -> Operation[WitnessedLog]:
    """Cosign checkpoints of the log whose verifier key this is."""
    place, body = path("audit", "witness", "logs"), {"vkey": vkey}
    return Operation("POST", place, reading(WitnessedLog), json=body, key=key)


def distrust_log(id: str, *, key: str | None = None) -> Operation[WitnessedLog]:
    place = path("audit", "witness", "logs", id)
    return Operation("DELETE", place, reading(WitnessedLog), key=key)


def add_checkpoint(request: str, *, key: str | None = None) -> Operation[str]:
    """Have a checkpoint cosigned; `request` and answer are those of c2sp.org/tlog-witness."""
    place, content = path("audit", "witness", "add-checkpoint"), [request.encode()]
    headers = {"accept": "text/plain", "content-type": "text/plain; charset=utf-8"}

    def read(answer: httpx.Response) -> str:
        return answer.text

    return Operation("POST", place, read, headers=headers, content=content, key=key)
