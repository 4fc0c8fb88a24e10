"""Tenants as wholes: the operations on them, and their answers."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from webnova.client.models import Answer, Page
from webnova.client.operations import Operation, path, reading

PIECE = 1 << 18


class Rest(Answer):
    """Since when a tenant is suspended, and why."""

    since: datetime
    reason: str


class Imported(Answer):
    """Where a tenant came from: the log's name, size and root there, and the file's SHA-256."""

    origin: str
    size: int
    root: str
    sha256: str


class Remains(Answer):
    """The last checkpoint of a deleted tenant; `purged_at` is None until nothing else is left."""

    at: datetime
    origin: str
    size: int
    root: str
    purged_at: datetime | None = None


class Tenant(Answer):
    """`suspended` is None while the tenant is active, `imported` unless it came from elsewhere."""

    name: str
    title: str
    suspended: Rest | None = None
    imported: Imported | None = None
    deleted: Remains | None = None


class TenantCreated(Tenant):
    """`token` is the tenant's first API token, shown once: None when the call was repeated."""

    token: str | None = None


class ArchivedMonth(Answer):
    """A month of events with an archive; `stored` of the `events` are in the database now.

    `size` and `root` are of the log in the archive's checkpoint, `bytes` and `sha256` of its file.
    """

    month: str
    events: int
    stored: int
    first_leaf: int
    last_leaf: int
    size: int | None
    root: str | None
    bytes: int | None
    sha256: str | None
    verified_at: datetime | None


class ArchivedMonths(Page[ArchivedMonth]):
    """`retention_days`: a month stays in the database for so many days after its end, unless
    whoever drops it names others."""

    retention_days: int


def archived_months(after: str | None, limit: int) -> Operation[ArchivedMonths]:
    read, params = reading(ArchivedMonths), {"after": after, "limit": limit}
    return Operation("GET", path("archive", "months"), read, params=params)


def create_tenant(name: str, title: str, key: str | None = None) -> Operation[TenantCreated]:
    body = {"name": name, "title": title}
    read = reading(TenantCreated)
    return Operation("POST", path("tenants"), read, json=body, key=key)


def tenant(name: str) -> Operation[Tenant]:
    return Operation("GET", path("tenants", name), reading(Tenant))


def tenants(after: str | None, limit: int) -> Operation[Page[Tenant]]:
    read, params = reading(Page[Tenant]), {"after": after, "limit": limit}
    return Operation("GET", path("tenants"), read, params=params)


def suspend_tenant(name: str, reason: str, key: str | None = None) -> Operation[Tenant]:
    read, body = reading(Tenant), {"reason": reason}
    return Operation("POST", path("tenants", name, "suspension"), read, json=body, key=key)


def resume_tenant(name: str, key: str | None = None) -> Operation[Tenant]:
    return Operation("DELETE", path("tenants", name, "suspension"), reading(Tenant), key=key)


def delete_tenant(name: str, key: str | None = None) -> Operation[Tenant]:
    return Operation("DELETE", path("tenants", name), reading(Tenant), key=key)


def import_tenant(
    content: Iterable[bytes] | AsyncIterable[bytes], vkeys: Sequence[str], key: str | None = None
) -> Operation[Tenant]:
    return Operation(
        "POST",
        path("tenants", "import"),
        reading(Tenant),
        params={"vkey": list(vkeys) or None},
        headers={"content-type": "application/x-ndjson"},
        key=key,
        content=content,
    )


@dataclass(frozen=True, slots=True)
class FileContent:
    """A file piece by piece, from its beginning each time that it is gone through."""

    path: Path

    def __iter__(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            while piece := file.read(PIECE):
                yield piece


@dataclass(frozen=True, slots=True)
class AsyncFileContent:
    """As `FileContent`, awaited."""

    path: Path

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in FileContent(self.path):
            yield piece
