"""The part of both clients that looks after tenants as wholes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from webnova.client import models, streaming, subjects, tenancy
from webnova.client.operations import Operation
from webnova.client.streaming import Stream

T = TypeVar("T")
PAGE = 100


class TenancyCalls(ABC):
    """The life of a tenant, for members of the root tenant."""

    @abstractmethod
    def do(self, operation: Operation[T]) -> T: ...

    @abstractmethod
    def _stream(self, stream: Stream[T]) -> Iterator[T]: ...

    @abstractmethod
    def pages(
        self,
        page: Callable[[str | None, int], Operation[models.Page[T]]],
        after: str | None = None,
    ) -> Iterator[T]: ...

    def create_tenant(
        self, name: str, title: str, *, idempotency_key: str | None = None
    ) -> tenancy.TenantCreated:
        return self.do(tenancy.create_tenant(name, title, idempotency_key))

    def tenant(self, name: str) -> tenancy.Tenant:
        return self.do(tenancy.tenant(name))

    def tenants(self) -> Iterator[tenancy.Tenant]:
        return self.pages(tenancy.tenants)

    def suspend_tenant(
        self, name: str, reason: str, *, idempotency_key: str | None = None
    ) -> tenancy.Tenant:
        """Refuse the tenant's tokens and let its work rest; nothing of it is lost."""
        return self.do(tenancy.suspend_tenant(name, reason, idempotency_key))

    def resume_tenant(self, name: str, *, idempotency_key: str | None = None) -> tenancy.Tenant:
        return self.do(tenancy.resume_tenant(name, idempotency_key))

    def export_tenant(self, name: str, recipient: str | None = None) -> Iterator[bytes]:
        """The lines of the tenant's whole file, without their ends; none is kept in memory.

        Keys of personal data go along for the recipient's key only; see `recipient`. Raises
        `Unavailable` when the connection breaks off: part of a file is none.
        """
        return self._stream(streaming.tenant_export(name, recipient))

    def delete_tenant(self, name: str, *, idempotency_key: str | None = None) -> tenancy.Tenant:
        """Delete a suspended tenant for ever; ask `tenant` until `deleted.purged_at` is set."""
        return self.do(tenancy.delete_tenant(name, idempotency_key))

    def import_tenant(
        self, file: Path, vkeys: Sequence[str] = (), *, idempotency_key: str | None = None
    ) -> tenancy.Tenant:
        """Take a tenant over from a file of another installation, all of it or nothing.

        `vkeys` are keys of its log from a source that you trust.
        """
        content = tenancy.FileContent(file)
        return self.do(tenancy.import_tenant(content, vkeys, idempotency_key))

    def archived_months(self, after: str | None = None) -> tenancy.ArchivedMonths:
        """Months of events that archives stand in for, past the month `after`, and how long
        months stay in the database."""
        return self.do(tenancy.archived_months(after, PAGE))

    def recipient(self) -> str:
        """The installation's key, for which another one may seal keys of personal data."""
        return (self.do(subjects.recipient())).recipient

    def subject(self, id: str) -> subjects.Subject:
        """Whether personal data of a subject can be read, and when it was erased."""
        return self.do(subjects.subject(id))

    def erase_subject(
        self, id: str, reason: str, *, idempotency_key: str | None = None
    ) -> subjects.Subject:
        """Destroy the key of a subject's personal data for ever."""
        return self.do(subjects.erase_subject(id, reason, idempotency_key))


class AsyncTenancyCalls(ABC):
    """As `TenancyCalls`, awaited."""

    @abstractmethod
    async def do(self, operation: Operation[T]) -> T: ...

    @abstractmethod
    def _stream(self, stream: Stream[T]) -> AsyncIterator[T]: ...

    @abstractmethod
    def pages(
        self,
        page: Callable[[str | None, int], Operation[models.Page[T]]],
        after: str | None = None,
    ) -> AsyncIterator[T]: ...

    async def create_tenant(
        self, name: str, title: str, *, idempotency_key: str | None = None
    ) -> tenancy.TenantCreated:
        return await self.do(tenancy.create_tenant(name, title, idempotency_key))

    async def tenant(self, name: str) -> tenancy.Tenant:
        return await self.do(tenancy.tenant(name))

    def tenants(self) -> AsyncIterator[tenancy.Tenant]:
        return self.pages(tenancy.tenants)

    async def suspend_tenant(
        self, name: str, reason: str, *, idempotency_key: str | None = None
    ) -> tenancy.Tenant:
        """Refuse the tenant's tokens and let its work rest; nothing of it is lost."""
        return await self.do(tenancy.suspend_tenant(name, reason, idempotency_key))

    async def resume_tenant(
        self, name: str, *, idempotency_key: str | None = None
    ) -> tenancy.Tenant:
        return await self.do(tenancy.resume_tenant(name, idempotency_key))

    def export_tenant(self, name: str, recipient: str | None = None) -> AsyncIterator[bytes]:
        """The lines of the tenant's whole file, without their ends; none is kept in memory.

        Keys of personal data go along for the recipient's key only; see `recipient`. Raises
        `Unavailable` when the connection breaks off: part of a file is none.
        """
        return self._stream(streaming.tenant_export(name, recipient))

    async def delete_tenant(
        self, name: str, *, idempotency_key: str | None = None
    ) -> tenancy.Tenant:
        """Delete a suspended tenant for ever; ask `tenant` until `deleted.purged_at` is set."""
        return await self.do(tenancy.delete_tenant(name, idempotency_key))

    async def import_tenant(
        self, file: Path, vkeys: Sequence[str] = (), *, idempotency_key: str | None = None
    ) -> tenancy.Tenant:
        """Take a tenant over from a file of another installation, all of it or nothing.

        `vkeys` are keys of its log from a source that you trust.
        """
        content = tenancy.AsyncFileContent(file)
        return await self.do(tenancy.import_tenant(content, vkeys, idempotency_key))

    async def archived_months(self, after: str | None = None) -> tenancy.ArchivedMonths:
        """Months of events that archives stand in for, past the month `after`, and how long
        months stay in the database."""
        return await self.do(tenancy.archived_months(after, PAGE))

    async def recipient(self) -> str:
        """The installation's key, for which another one may seal keys of personal data."""
        return (await self.do(subjects.recipient())).recipient

    async def subject(self, id: str) -> subjects.Subject:
        """Whether personal data of a subject can be read, and when it was erased."""
        return await self.do(subjects.subject(id))

    async def erase_subject(
        self, id: str, reason: str, *, idempotency_key: str | None = None
    ) -> subjects.Subject:
        """Destroy the key of a subject's personal data for ever."""
        return await self.do(subjects.erase_subject(id, reason, idempotency_key))
