"""The operations on tenants as wholes: suspend, resume."""

from __future__ import annotations

from webnova.client import models
from webnova.client.operations import Operation, path, reading


def suspend_tenant(name: str, reason: str, key: str | None = None) -> Operation[models.Tenant]:
    read, body = reading(models.Tenant), {"reason": reason}
    return Operation("POST", path("tenants", name, "suspension"), read, json=body, key=key)


def resume_tenant(name: str, key: str | None = None) -> Operation[models.Tenant]:
    return Operation("DELETE", path("tenants", name, "suspension"), reading(models.Tenant), key=key)
