"""The operations on documents, subscriptions and webhooks, for `do` and `pages` of both clients.

`client.do(eventing.webhook("whk_…"))` sends one; `client.pages(eventing.webhooks)` walks through
all pages of a list.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any

from webnova.client import eventing_models as models
from webnova.client.models import DocumentVersion, Page
from webnova.client.operations import M, Operation, path, reading


def _get(model: type[M], *segments: str, **params: Any) -> Operation[M]:
    return Operation("GET", path(*segments), reading(model), params=params)


def _post(model: type[M], *segments: str, body: Any = None, key: str | None) -> Operation[M]:
    return Operation("POST", path(*segments), reading(model), json=body or {}, key=key)


def event_links(event_id: str) -> Operation[models.EventLinks]:
    """Why an event happened, what happened with it, and what came of it."""
    return _get(models.EventLinks, "events", event_id, "links")


def restore_version(
    kind: str, id: str, version: int, *, key: str | None = None
) -> Operation[DocumentVersion]:
    """Make a document what it was at a version."""
    body = {"version": version}
    return _post(DocumentVersion, "documents", kind, id, "restore", body=body, key=key)


def documents(
    kind: str,
    after: str | None = None,
    limit: int = 50,
    *,
    where: Sequence[str] = (),
    order: str | None = None,
) -> Operation[Page[models.Document]]:
    """Documents of a kind by indexed fields: `field:value`, `field:a|b`, `field:low..high`."""
    return _get(
        Page[models.Document],
        "documents",
        kind,
        where=list(where) or None,
        order=order,
        after=after,
        limit=limit,
    )


def rebuild_documents(
    kind: str, *, id: str | None = None, after: str | None = None, key: str | None = None
) -> Operation[models.Rebuilt]:
    """Fold one document anew, or a page of a kind."""
    body = {"id": id, "after": after}
    return _post(models.Rebuilt, "documents", kind, "rebuild", body=body, key=key)


def open_subscription(
    name: str,
    types: Sequence[str],
    *,
    slots: int = 1,
    start: str = "now",
    key: str | None = None,
) -> Operation[models.Subscription]:
    """Keep a place in the events; `start` is `now` or `beginning`."""
    body = {"name": name, "types": list(types), "slots": slots, "start": start}
    return _post(models.Subscription, "subscriptions", body=body, key=key)


def subscriptions(
    after: str | None = None, limit: int = 50
) -> Operation[Page[models.SubscriptionSummary]]:
    return _get(Page[models.SubscriptionSummary], "subscriptions", after=after, limit=limit)


def subscription(name: str) -> Operation[models.Subscription]:
    return _get(models.Subscription, "subscriptions", name)


def close_subscription(
    name: str, *, key: str | None = None
) -> Operation[models.SubscriptionSummary]:
    place = path("subscriptions", name)
    return Operation("DELETE", place, reading(models.SubscriptionSummary), key=key)


def lease_events(
    name: str, consumer: str, *, seconds: int = 30, limit: int = 100, key: str | None = None
) -> Operation[models.LeasedEvents]:
    """Take a slot with its next events; acknowledge them within `seconds`."""
    body = {"consumer": consumer, "seconds": seconds, "limit": limit}
    return _post(models.LeasedEvents, "subscriptions", name, "leases", body=body, key=key)


def acknowledge(
    name: str, leased: models.LeasedEvents, *, keep: bool = False, key: str | None = None
) -> Operation[models.Acknowledged]:
    """All events of a lease are done; `keep` extends the lease by 30 seconds."""
    body = {
        "fence": leased.fence,
        "cursor": leased.cursor,
        "replayed": [each.event_id for each in leased.items if each.replayed],
        "keep": keep,
    }
    place = ("subscriptions", name, "slots", str(leased.slot), "acknowledge")
    return _post(models.Acknowledged, *place, body=body, key=key)


def reject(
    name: str, leased: models.LeasedEvents, event_id: str, error: str, *, key: str | None = None
) -> Operation[models.Acknowledged]:
    """Make an event of the lease, the first that is not acknowledged, a dead letter."""
    body = {"fence": leased.fence, "event_id": event_id, "error": error}
    place = ("subscriptions", name, "slots", str(leased.slot), "reject")
    return _post(models.Acknowledged, *place, body=body, key=key)


def dead_letters(
    name: str, after: str | None = None, limit: int = 50
) -> Operation[Page[models.DeadLetter]]:
    place = ("subscriptions", name, "dead-letters")
    return _get(Page[models.DeadLetter], *place, after=after, limit=limit)


def replay_dead_letters(
    name: str, event_id: str | None = None, *, key: str | None = None
) -> Operation[models.Replayed]:
    """Send dead letters again: all, or the stream of one."""
    place = ("subscriptions", name, "dead-letters", "replay")
    return _post(models.Replayed, *place, body={"event_id": event_id}, key=key)


def add_webhook(
    url: str, types: Sequence[str], *, description: str = "", key: str | None = None
) -> Operation[models.Webhook]:
    body = {"url": url, "types": list(types), "description": description}
    return _post(models.Webhook, "webhooks", body=body, key=key)


def webhooks(after: str | None = None, limit: int = 50) -> Operation[Page[models.Webhook]]:
    return _get(Page[models.Webhook], "webhooks", after=after, limit=limit)


def webhook(id: str) -> Operation[models.Webhook]:
    return _get(models.Webhook, "webhooks", id)


def change_webhook(
    id: str, url: str, types: Sequence[str], *, description: str = "", key: str | None = None
) -> Operation[models.Webhook]:
    body = {"url": url, "types": list(types), "description": description}
    return Operation("PUT", path("webhooks", id), reading(models.Webhook), json=body, key=key)


def remove_webhook(id: str, *, key: str | None = None) -> Operation[models.Webhook]:
    return Operation("DELETE", path("webhooks", id), reading(models.Webhook), key=key)


def webhook_secrets(id: str) -> Operation[models.SigningSecrets]:
    return _get(models.SigningSecrets, "webhooks", id, "secrets")


def rotate_webhook_secret(id: str, *, key: str | None = None) -> Operation[models.Webhook]:
    return _post(models.Webhook, "webhooks", id, "secrets", "rotate", key=key)


def enable_webhook(id: str, *, key: str | None = None) -> Operation[models.Webhook]:
    return _post(models.Webhook, "webhooks", id, "enable", key=key)


def disable_webhook(id: str, *, key: str | None = None) -> Operation[models.Webhook]:
    return _post(models.Webhook, "webhooks", id, "disable", key=key)


def deliveries(
    id: str, after: str | None = None, limit: int = 50, *, state: str | None = None
) -> Operation[Page[models.Delivery]]:
    place = ("webhooks", id, "deliveries")
    return _get(Page[models.Delivery], *place, state=state, after=after, limit=limit)


def retry_delivery(id: str, event_id: str, *, key: str | None = None) -> Operation[models.Delivery]:
    return _post(models.Delivery, "webhooks", id, "deliveries", event_id, "retry", key=key)


def replay_webhook(
    id: str, since: datetime, *, key: str | None = None
) -> Operation[models.Requeued]:
    """Send what happened since then and has not arrived; `since` knows its time zone."""
    body = {"since": since.isoformat()}
    return _post(models.Requeued, "webhooks", id, "replay", body=body, key=key)


def all_of(operation: Any, id: str, **options: Any) -> Any:
    """A list of one thing's parts as `pages` wants it: `client.pages(all_of(deliveries, id))`."""
    return partial(operation, id, **options)
