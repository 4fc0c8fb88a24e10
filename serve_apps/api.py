"""The HTTP API as a plain ASGI application: it needs an installation and a gateway, not Ray."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib import metadata

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from engine.kernel.errors import WebNovaError
from serve_apps.events import Streams
from serve_apps.middleware import Edge
from serve_apps.openapi import DESCRIPTION, TAGS, describe
from serve_apps.ports import Gateway
from serve_apps.preview import Addresses, Previews, instance_lookup
from serve_apps.problems import on_error, on_http_exception, on_invalid_request
from serve_apps.routes import (
    archive,
    audit,
    blueprints,
    budgets,
    documents,
    events,
    formats,
    health,
    platforms,
    previews,
    prices,
    runs,
    statements,
    subjects,
    subscriptions,
    tenants,
    tokens,
    usage,
    webhooks,
    witness,
)
from serve_apps.services import Services
from serve_apps.upstream import Upstreams
from webnova.compose import Installation

DISTRIBUTION = "infera-webnova"
METERING = (usage, prices, budgets, statements)
BUS = (events, subscriptions, webhooks)
PROOF = (documents, audit, archive, witness)
ACCESS = (tenants, tokens, subjects)
ROUTES = (platforms, runs, blueprints, formats, *BUS, *PROOF, *ACCESS, *METERING, health)
"""Searched in this order: what is asked for most comes first."""


def create_api(
    installation: Installation,
    gateway: Gateway,
    *,
    public_url: str | None = None,
    on_shutdown: Callable[[], Awaitable[None]] | None = None,
) -> FastAPI:
    """The application over one installation.

    `public_url` is the address that people use (`https://webnova.example`); without it links are
    made from the address of each request. `on_shutdown` runs last of all. Whoever runs the
    application may call `app.state.services.streams.close()` to let endless answers end before
    connections are drained.
    """
    streams, upstreams = Streams(), Upstreams()
    lookup = instance_lookup(installation.dispatcher)
    services = Services(
        installation=installation,
        gateway=gateway,
        streams=streams,
        previews=Previews(Addresses(lookup, upstreams.retire), upstreams, streams),
        public_url=public_url.rstrip("/") if public_url else None,
        version=_version(),
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        streams.close()
        await services.previews.close()
        if on_shutdown is not None:
            await on_shutdown()

    app = FastAPI(
        title="INFERA WebNova",
        version=services.version,
        description=DESCRIPTION,
        openapi_tags=TAGS,
        lifespan=lifespan,
        redirect_slashes=False,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.services = services
    app.add_exception_handler(WebNovaError, on_error)
    app.add_exception_handler(RequestValidationError, on_invalid_request)
    app.add_exception_handler(HTTPException, on_http_exception)
    app.add_middleware(Edge)
    _add_routes(app)
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]
    return app


def _add_routes(app: FastAPI) -> None:
    # Taken over route by route: a router that is included is searched twice for each request.
    for part in ROUTES:
        app.router.routes.extend(part.router.routes)
    # For probes that know nothing of the API's versions.
    app.add_api_route("/health", health.get_health, include_in_schema=False)
    options = {"methods": previews.METHODS, "include_in_schema": False}
    app.add_route(previews.PATH, previews.forward, **options)  # type: ignore[arg-type]
    app.add_route(previews.BARE_PATH, previews.add_slash, **options)  # type: ignore[arg-type]


def _version() -> str:
    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return "0+unpackaged"
