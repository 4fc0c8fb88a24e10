"""The part of both clients that looks after tenants as wholes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from webnova.client import models, streaming, tenancy
from webnova.client.operations import Operation
from webnova.client.streaming import Stream

T = TypeVar("T")


class TenancyCalls(ABC):
    """The life of a tenant, for members of the root tenant."""

    @abstractmethod
    def _do(self, operation: Operation[T]) -> T: ...

    @abstractmethod
    def _stream(self, stream: Stream[T]) -> Iterator[T]: ...

    def suspend_tenant(
        self, name: str, reason: str, *, idempotency_key: str | None = None
    ) -> models.Tenant:
        """Refuse the tenant's tokens and let its work rest; nothing of it is lost."""
        return self._do(tenancy.suspend_tenant(name, reason, idempotency_key))

    def resume_tenant(self, name: str, *, idempotency_key: str | None = None) -> models.Tenant:
        return self._do(tenancy.resume_tenant(name, idempotency_key))

    def export_tenant(self, name: str) -> Iterator[bytes]:
        """The lines of the tenant's whole file, without their ends; none is kept in memory.

        Raises `Unavailable` when the connection breaks off: part of a file is none.
        """
        return self._stream(streaming.tenant_export(name))

    def import_tenant(
        self, file: Path, vkeys: Sequence[str] = (), *, idempotency_key: str | None = None
    ) -> models.Tenant:
        """Take a tenant over from a file of another installation, all of it or nothing.

        `vkeys` are keys of its log from a source that you trust.
        """
        content = tenancy.FileContent(file)
        return self._do(tenancy.import_tenant(content, vkeys, idempotency_key))


class AsyncTenancyCalls(ABC):
    """As `TenancyCalls`, awaited."""

    @abstractmethod
    async def _do(self, operation: Operation[T]) -> T: ...

    @abstractmethod
    def _stream(self, stream: Stream[T]) -> AsyncIterator[T]: ...

    async def suspend_tenant(
        self, name: str, reason: str, *, idempotency_key: str | None = None
    ) -> models.Tenant:
        """Refuse the tenant's tokens and let its work rest; nothing of it is lost."""
        return await self._do(tenancy.suspend_tenant(name, reason, idempotency_key))

    async def resume_tenant(
        self, name: str, *, idempotency_key: str | None = None
    ) -> models.Tenant:
        return await self._do(tenancy.resume_tenant(name, idempotency_key))

    def export_tenant(self, name: str) -> AsyncIterator[bytes]:
        """The lines of the tenant's whole file, without their ends; none is kept in memory.

        Raises `Unavailable` when the connection breaks off: part of a file is none.
        """
        return self._stream(streaming.tenant_export(name))

    async def import_tenant(
        self, file: Path, vkeys: Sequence[str] = (), *, idempotency_key: str | None = None
    ) -> models.Tenant:
        """Take a tenant over from a file of another installation, all of it or nothing.

        `vkeys` are keys of its log from a source that you trust.
        """
        content = tenancy.AsyncFileContent(file)
        return await self._do(tenancy.import_tenant(content, vkeys, idempotency_key))
