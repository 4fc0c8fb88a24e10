"""The API on Ray Serve: `serve.yaml` names `serve_apps.app:build`.

A replica composes its own installation from the environment (`webnova.compose`) and reaches the
executor through `actors.gateway`. `WEBNOVA_PUBLIC_URL` or the argument `public_url` is the address
that people use.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any

import ray
import structlog
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict
from ray import serve

from actors.gateway import RayGateway
from actors.start import core_actors
from serve_apps.api import create_api
from serve_apps.routes.health import check
from webnova.compose import compose
from webnova.logging import configure_logging

PUBLIC_URL = "WEBNOVA_PUBLIC_URL"
LOG_FORMAT = "WEBNOVA_LOG_FORMAT"
DRAINING_LOOK_S = 0.5

_log = structlog.get_logger(__name__)


class Arguments(BaseModel):
    """The `args` of the application in `serve.yaml`. `pool`: database connections a replica."""

    model_config = ConfigDict(extra="forbid")

    public_url: str | None = None
    pool: int = 10


def build(args: dict[str, Any]) -> serve.Application:
    """The Serve application with its one deployment, `Api`."""
    arguments = Arguments.model_validate(args)
    ingress = serve.ingress(_maker(arguments))
    deployment = serve.deployment(
        ingress(_Replica),
        name="Api",
        max_ongoing_requests=256,
        max_queued_requests=512,
        health_check_period_s=5.0,
        health_check_timeout_s=10.0,
        graceful_shutdown_wait_loop_s=1.0,
        graceful_shutdown_timeout_s=15.0,
        ray_actor_options={"num_cpus": 0.2},
        # The application writes an access log of its own, with tenant and trace.
        logging_config={"encoding": "JSON", "enable_access_log": False},
    )
    return deployment.bind()


def _maker(arguments: Arguments) -> Callable[[], FastAPI]:
    def make() -> FastAPI:
        """Called in the replica, on the loop that will serve."""
        configured = os.environ.get(LOG_FORMAT)
        configure_logging("console" if configured == "console" else "json")
        installation = compose("api", pool=arguments.pool)
        public_url = arguments.public_url or os.environ.get(PUBLIC_URL)
        return create_api(
            installation,
            RayGateway(),
            public_url=public_url,
            on_shutdown=installation.close,
        )

    return make


class _Replica:
    """What Serve asks of a replica beyond serving the application."""

    app: FastAPI

    def __init__(self) -> None:
        self._draining = asyncio.create_task(self._end_streams_when_draining())
        self._executor = asyncio.create_task(asyncio.to_thread(core_actors))

    async def check_health(self) -> None:
        """Raises when the database does not answer; Serve then replaces the replica."""
        await check(self.app.state.services)

    async def _end_streams_when_draining(self) -> None:
        # Serve waits for open answers before it lets a replica go, and gives the application no
        # sign that it waits. Endless ones would be cut off at the end of its patience.
        while not _is_draining():  # noqa: ASYNC110
            await asyncio.sleep(DRAINING_LOOK_S)
        _log.info("replica drains", open_streams=self.app.state.services.streams.open)
        self.app.state.services.streams.close()


def _is_draining() -> bool:
    """Whether Serve has begun to stop the replica of this process. False if it can't be told."""
    worker = ray._private.worker.global_worker
    for actor in getattr(worker, "actors", {}).values():
        if getattr(getattr(actor, "_replica_impl", None), "_shutting_down", False):
            return True
    return False
