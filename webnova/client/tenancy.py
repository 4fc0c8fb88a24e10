"""The operations on tenants as wholes: suspend, resume, import, delete."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from webnova.client import models
from webnova.client.operations import Operation, path, reading

PIECE = 1 << 18


def suspend_tenant(name: str, reason: str, key: str | None = None) -> Operation[models.Tenant]:
    read, body = reading(models.Tenant), {"reason": reason}
    return Operation("POST", path("tenants", name, "suspension"), read, json=body, key=key)


def resume_tenant(name: str, key: str | None = None) -> Operation[models.Tenant]:
    return Operation("DELETE", path("tenants", name, "suspension"), reading(models.Tenant), key=key)


def delete_tenant(name: str, key: str | None = None) -> Operation[models.Tenant]:
    return Operation("DELETE", path("tenants", name), reading(models.Tenant), key=key)


def import_tenant(
    content: Iterable[bytes] | AsyncIterable[bytes], vkeys: Sequence[str], key: str | None = None
) -> Operation[models.Tenant]:
    return Operation(
        "POST",
        path("tenants", "import"),
        reading(models.Tenant),
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
