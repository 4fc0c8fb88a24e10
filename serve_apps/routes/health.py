"""Whether this process can do its work."""

from __future__ import annotations

import asyncio
from typing import Literal

from fastapi import Request

from engine.kernel.contracts import View
from engine.kernel.dispatch import ROOT_TENANT
from engine.kernel.errors import Unavailable
from serve_apps.problems import documented
from serve_apps.routes import new_router
from serve_apps.services import Services, services_of

PATIENCE_S = 5.0

router = new_router("health")


class Health(View):
    status: Literal["ok"]
    database: Literal["ok"]
    version: str


@router.get("/health", responses=documented(503))
async def get_health(request: Request) -> Health:
    """Whether the API and its database work. Needs no token."""
    services = services_of(request)
    await check(services)
    return Health(status="ok", database="ok", version=services.version)


async def check(services: Services) -> None:
    """Raise `Unavailable` unless the database answers."""
    try:
        async with (
            asyncio.timeout(PATIENCE_S),
            services.installation.transactions.reading(ROOT_TENANT),
        ):
            pass
    except TimeoutError as error:
        raise Unavailable("The database does not answer in time.") from error
