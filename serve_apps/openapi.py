"""The published description of the API (OpenAPI 3.1), derived from the routes."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from serve_apps.problems import Problem

DESCRIPTION = """\
Describe a platform, and WebNova generates, tests and runs it.

* **Tokens.** Every call but a few needs `Authorization: Bearer wn_…`. A token belongs to one
  tenant, and nothing of another tenant can be seen with it.
* **Failures** are RFC 9457 problems: a stable `code`, what went wrong and how to put it right.
* **Repeating.** A POST or PUT with an `Idempotency-Key` can be repeated safely.
* **Pages.** Lists answer `items` and `next`; send `next` as `after` until it is null.
* **Streams** are server-sent events. Reconnecting with `Last-Event-ID` loses nothing.
* **Traces.** A W3C `traceparent` is recorded with everything that the call causes.
"""

TAGS = [
    {"name": "platforms", "description": "What a tenant owns, from the sentence to the release."},
    {"name": "blueprints", "description": "What each platform is: its single source of truth."},
    {"name": "runs", "description": "The durable processes that build platforms."},
    {"name": "events", "description": "Everything that happened, in order."},
    {"name": "subscriptions", "description": "Events that wait until a program has taken them."},
    {"name": "webhooks", "description": "Events that are sent to where you want them."},
    {"name": "documents", "description": "Documents through time: versions, changes, authors."},
    {"name": "audit", "description": "Proof that what happened was not altered since."},
    {"name": "archive", "description": "Old months of events, in files that verify anywhere."},
    {"name": "tenants", "description": "Who shares the installation."},
    {"name": "tokens", "description": "How programs prove who they are."},
    {"name": "subjects", "description": "Whom data is about, and its erasure."},
    {"name": "usage", "description": "What was consumed, and what of it has no price yet."},
    {"name": "prices", "description": "What a unit costs in a region, and from when."},
    {"name": "budgets", "description": "Limits that hold while many spend at once."},
    {"name": "statements", "description": "What a month costs, exactly and as a forecast."},
    {"name": "health", "description": "Whether the API can do its work."},
]

# The engine calls what it answers with `…View`; readers of the API know only the thing itself.
NAMES = {
    "ArchivedMonthList": "ArchivedMonthPage",
    "BlueprintView": "Blueprint",
    "BudgetList": "BudgetPage",
    "BudgetView": "Budget",
    "EntryView": "LedgerEntry",
    "ForecastView": "Forecast",
    "PriceBookList": "PriceBookPage",
    "PriceBookView": "PriceBook",
    "ReservationView": "Reservation",
    "RunView": "Run",
    "RunList": "RunPage",
    "StatementView": "Statement",
    "RecipientView": "Recipient",
    "StepView": "Step",
    "DocumentList": "DocumentPage",
    "FoundDocument": "Document",
    "DeadLetterList": "DeadLetterPage",
    "DeadLetterView": "DeadLetter",
    "DeliveryList": "DeliveryPage",
    "DeliveryView": "Delivery",
    "SlotView": "Slot",
    "StallView": "Stall",
    "SubscriptionList": "SubscriptionPage",
    "SubscriptionView": "Subscription",
    "WebhookList": "WebhookPage",
    "WebhookView": "Webhook",
    "WitnessView": "Witness",
    "WitnessedLogList": "WitnessedLogPage",
    "WitnessedLogView": "WitnessedLog",
    "SubjectView": "Subject",
    "TenantView": "Tenant",
    "TenantList": "TenantPage",
    "TokenView": "Token",
    "Tier-Input": "NewTier",
    "Tier-Output": "Tier",
    "TokenList": "TokenPage",
    "UsageSums": "UsagePage",
}

SECURITY_SCHEME = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "wn_<tenant>_<id>_<secret>",
    "description": "An API token.",
}
TENANT_HEADER = {
    "name": "X-WebNova-Tenant",
    "in": "header",
    "required": False,
    "description": "Act inside another tenant. Only for members of the root tenant who hold "
    "`tenant.administer`.",
    "schema": {
        "type": "string",
        "pattern": "^[a-z][a-z0-9]*(-[a-z0-9]+)*$",
        "minLength": 2,
        "maxLength": 40,
    },
}
KEY_HEADER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Repeating a call with its key returns the first answer and does nothing twice. "
    "A key belongs to the tenant and to one request.",
    "schema": {
        "type": "string",
        "pattern": r"^[\x21-\x7e]+$",
        "minLength": 1,
        "maxLength": 200,
        "examples": ["create-clinic-5d2c6c1e"],
    },
}

_REF = "#/components/schemas/"


def describe(app: FastAPI) -> dict[str, Any]:
    """The document, built once for each application."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            openapi_version="3.1.0",
            description=app.description,
            routes=app.routes,
            tags=app.openapi_tags,
        )
        schemas = document["components"]["schemas"]
        problem = Problem.model_json_schema()
        problem["examples"] = [Problem.examples]
        schemas["Problem"] = problem
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        document["components"]["securitySchemes"] = {"token": SECURITY_SCHEME}
        for path in document["paths"].values():
            for operation in path.values():
                _secure(operation)
        app.openapi_schema = _renamed(document)
    return app.openapi_schema


def _secure(operation: dict[str, Any]) -> None:
    """Say of an operation that names a permission that it takes a token, and with which headers."""
    if "x-webnova-permission" in operation:
        operation["security"] = [{"token": []}]
        headers = [TENANT_HEADER, KEY_HEADER] if operation["x-webnova-writes"] else [TENANT_HEADER]
        operation["parameters"] = [*operation.get("parameters", []), *headers]


def _renamed(value: Any) -> Any:
    if isinstance(value, dict):
        renamed = {NAMES.get(key, key): _renamed(item) for key, item in value.items()}
        title = renamed.get("title")
        if isinstance(title, str):
            renamed["title"] = NAMES.get(title, title)
        return renamed
    if isinstance(value, list):
        return [_renamed(item) for item in value]
    if isinstance(value, str) and value.startswith(_REF):
        name = value.removeprefix(_REF)
        return _REF + NAMES.get(name, name)
    return value
