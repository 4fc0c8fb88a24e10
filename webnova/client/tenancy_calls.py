"""The part of both clients that looks after tenants as wholes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TypeVar

from webnova.client import models, tenancy
from webnova.client.operations import Operation

T = TypeVar("T")


class TenancyCalls(ABC):
    """The life of a tenant, for members of the root tenant."""

    @abstractmethod
    def _do(self, operation: Operation[T]) -> T: ...

    def suspend_tenant(
        self, name: str, reason: str, *, idempotency_key: str | None = None
    ) -> models.Tenant:
        """Refuse the tenant's tokens and let its work rest; nothing of it is lost."""
        return self._do(tenancy.suspend_tenant(name, reason, idempotency_key))

    def resume_tenant(self, name: str, *, idempotency_key: str | None = None) -> models.Tenant:
        return self._do(tenancy.resume_tenant(name, idempotency_key))


class AsyncTenancyCalls(ABC):
    """As `TenancyCalls`, awaited."""

    @abstractmethod
    async def _do(self, operation: Operation[T]) -> T: ...

    async def suspend_tenant(
        self, name: str, reason: str, *, idempotency_key: str | None = None
    ) -> models.Tenant:
        """Refuse the tenant's tokens and let its work rest; nothing of it is lost."""
        return await self._do(tenancy.suspend_tenant(name, reason, idempotency_key))

    async def resume_tenant(
        self, name: str, *, idempotency_key: str | None = None
    ) -> models.Tenant:
        return await self._do(tenancy.resume_tenant(name, idempotency_key))
