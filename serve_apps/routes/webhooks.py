"""Webhooks: where a tenant's events are sent, and what became of each."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import Path, Query, Request
from pydantic import AwareDatetime, Field
from starlette.responses import Response

from engine.kernel.contracts import View
from engine.ledger.subscriptions.topics import Patterns
from engine.ledger.webhooks.endpoints import (
    Address,
    AddWebhook,
    ChangeWebhook,
    DeliveryList,
    DeliveryView,
    Description,
    DisableWebhook,
    EnableWebhook,
    GetWebhook,
    ListDeliveries,
    ListWebhooks,
    RemoveWebhook,
    ReplayWebhook,
    Requeued,
    RetryDelivery,
    RotateWebhookSecret,
    WebhookList,
    WebhookView,
)
from engine.ledger.webhooks.signing import secret_of
from engine.ledger.webhooks.store import State
from serve_apps.authentication import Reading, Writing
from serve_apps.problems import documented
from serve_apps.routes import new_router
from serve_apps.routes.answers import answered, location, message
from serve_apps.routes.input import After, AfterEvent, EmptyBody, EventIdPath, Limit, RequestBody
from serve_apps.services import services_of

router = new_router("webhooks", "/webhooks")
READ = documented(401, 403, 404, 422, 503)
WRITE = documented(401, 403, 404, 409, 413, 422, 429, 503)
NOT_STORED = {"cache-control": "no-store"}

WebhookPath = Annotated[str, Path(description="Id of the webhook.", pattern=r"^whk_[0-9a-f]{32}$")]


class WebhookWish(RequestBody):
    url: Address = Field(examples=["https://example.com/webnova"])
    types: Patterns = Field(
        examples=[["run.*", "platform.released"]],
        description="Event types, `area.*` or `*`.",
    )
    description: Description = ""


class ReplayWish(RequestBody):
    since: AwareDatetime


class SigningSecrets(View):
    """The secrets that sign now, the one in use first. Keep them as you keep passwords."""

    secrets: list[str]
    old_until: datetime | None


@router.post(
    "",
    status_code=201,
    response_model=WebhookView,
    responses={201: {"headers": location("The webhook.")}, **WRITE},
    openapi_extra=message(AddWebhook),
)
async def add_webhook(body: WebhookWish, session: Writing) -> Response:
    """Send events to an address from now on, signed by Standard Webhooks."""
    view = await session.tell(WebhookView, AddWebhook(**body.model_dump()))
    return answered(view, 201, {"location": f"/api/v1/webhooks/{view.id}"})


@router.get("", response_model=WebhookList, responses=READ, openapi_extra=message(ListWebhooks))
async def list_webhooks(session: Reading, after: After = None, limit: Limit = 50) -> Response:
    """The tenant's webhooks."""
    return answered(await session.ask(WebhookList, ListWebhooks(after=after, limit=limit)))


@router.get("/{id}", response_model=WebhookView, responses=READ, openapi_extra=message(GetWebhook))
async def get_webhook(id: WebhookPath, session: Reading) -> Response:
    """A webhook, and why it is disabled if it is."""
    return answered(await session.ask(WebhookView, GetWebhook(id=id)))


@router.put(
    "/{id}", response_model=WebhookView, responses=WRITE, openapi_extra=message(ChangeWebhook)
)
async def change_webhook(id: WebhookPath, body: WebhookWish, session: Writing) -> Response:
    """Change the address, the types or the description."""
    return answered(await session.tell(WebhookView, ChangeWebhook(id=id, **body.model_dump())))


@router.delete(
    "/{id}", response_model=WebhookView, responses=WRITE, openapi_extra=message(RemoveWebhook)
)
async def remove_webhook(id: WebhookPath, session: Writing) -> Response:
    """Send nothing to it any more, and forget its deliveries."""
    return answered(await session.tell(WebhookView, RemoveWebhook(id=id)))


@router.get(
    "/{id}/secrets",
    response_model=SigningSecrets,
    responses=READ,
    openapi_extra={**message(GetWebhook), "x-webnova-permission": AddWebhook.permission},
)
async def get_webhook_secrets(id: WebhookPath, session: Reading, request: Request) -> Response:
    """What requests are signed with; needs the permission to change webhooks."""
    await session.require(AddWebhook.permission)
    found = await session.ask(WebhookView, GetWebhook(id=id))
    key = services_of(request).installation.webhook_key()
    secrets = [secret_of(key, session.tenant, id, each).reveal() for each in found.signing]
    view = SigningSecrets(secrets=secrets, old_until=found.old_until)
    return answered(view, headers=NOT_STORED)


@router.post(
    "/{id}/secrets/rotate",
    response_model=WebhookView,
    responses=WRITE,
    openapi_extra=message(RotateWebhookSecret),
)
async def rotate_webhook_secret(id: WebhookPath, body: EmptyBody, session: Writing) -> Response:
    """Sign with a new secret; the old one signs too for another 24 hours."""
    return answered(await session.tell(WebhookView, RotateWebhookSecret(id=id)))


@router.post(
    "/{id}/enable",
    response_model=WebhookView,
    responses=WRITE,
    openapi_extra=message(EnableWebhook),
)
async def enable_webhook(id: WebhookPath, body: EmptyBody, session: Writing) -> Response:
    """Send again. What happened meanwhile is sent when it is replayed."""
    return answered(await session.tell(WebhookView, EnableWebhook(id=id)))


@router.post(
    "/{id}/disable",
    response_model=WebhookView,
    responses=WRITE,
    openapi_extra=message(DisableWebhook),
)
async def disable_webhook(id: WebhookPath, body: EmptyBody, session: Writing) -> Response:
    """Send nothing until it is enabled."""
    return answered(await session.tell(WebhookView, DisableWebhook(id=id)))


@router.get(
    "/{id}/deliveries",
    response_model=DeliveryList,
    responses=READ,
    openapi_extra=message(ListDeliveries),
)
async def list_deliveries(
    id: WebhookPath,
    session: Reading,
    state: Annotated[State | None, Query(description="Only these.")] = None,
    after: AfterEvent = None,
    limit: Limit = 50,
) -> Response:
    """What was sent and what waits, newest first."""
    query = ListDeliveries(id=id, state=state, after=after, limit=limit)
    return answered(await session.ask(DeliveryList, query))


@router.post(
    "/{id}/deliveries/{event_id}/retry",
    response_model=DeliveryView,
    responses=WRITE,
    openapi_extra=message(RetryDelivery),
)
async def retry_delivery(
    id: WebhookPath, event_id: EventIdPath, body: EmptyBody, session: Writing
) -> Response:
    """Send one event again, whatever became of it before."""
    return answered(await session.tell(DeliveryView, RetryDelivery(id=id, event_id=event_id)))


@router.post(
    "/{id}/replay",
    response_model=Requeued,
    responses=WRITE,
    openapi_extra=message(ReplayWebhook),
)
async def replay_webhook(id: WebhookPath, body: ReplayWish, session: Writing) -> Response:
    """Send what happened since a time and has not arrived."""
    return answered(await session.tell(Requeued, ReplayWebhook(id=id, since=body.since)))
