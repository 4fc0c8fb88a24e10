"""The client's models and calls against the server's own OpenAPI document."""

from __future__ import annotations

import inspect
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel

from webnova.client import (
    eventing,
    metering,
    models,
    operations,
    subjects,
    tenancy,
    witnessing,
)
from webnova.client import eventing_models as eventing_answers
from webnova.client.metering import BudgetWish, UsageFilter
from webnova.client.operations import Operation, Wish
from webnova.client.streaming import audit_export, live_events, live_logs, run_events, tenant_export
from webnova.reference import openapi

SCHEMAS = {
    eventing_answers.EventLinks: "EventLinks",
    eventing_answers.Document: "Document",
    eventing_answers.Rebuilt: "Rebuilt",
    models.Page[eventing_answers.Document]: "DocumentPage",
    eventing_answers.Slot: "Slot",
    eventing_answers.Stall: "Stall",
    eventing_answers.Subscription: "Subscription",
    eventing_answers.SubscriptionSummary: "SubscriptionSummary",
    eventing_answers.ConsumedEvent: "ConsumedEvent",
    eventing_answers.LeasedEvents: "LeasedEvents",
    eventing_answers.Acknowledged: "Acknowledged",
    eventing_answers.DeadLetter: "DeadLetter",
    eventing_answers.Replayed: "Replayed",
    eventing_answers.Webhook: "Webhook",
    eventing_answers.SigningSecrets: "SigningSecrets",
    eventing_answers.Delivery: "Delivery",
    eventing_answers.Requeued: "Requeued",
    models.Page[eventing_answers.SubscriptionSummary]: "SubscriptionPage",
    models.Page[eventing_answers.DeadLetter]: "DeadLetterPage",
    models.Page[eventing_answers.Webhook]: "WebhookPage",
    models.Page[eventing_answers.Delivery]: "DeliveryPage",
    witnessing.Witness: "Witness",
    witnessing.WitnessedLog: "WitnessedLog",
    models.Page[witnessing.WitnessedLog]: "WitnessedLogPage",
    models.Blueprint: "Blueprint",
    models.Budget: "Budget",
    models.CurrencyForecast: "CurrencyForecast",
    models.CurrencyStatement: "CurrencyStatement",
    models.Forecast: "Forecast",
    models.LedgerEntry: "LedgerEntry",
    models.MissingPrice: "MissingPrice",
    models.Page[models.Budget]: "BudgetPage",
    models.Page[models.PriceBook]: "PriceBookPage",
    models.Page[models.UsageSum]: "UsagePage",
    models.Posting: "Posting",
    models.PriceBook: "PriceBook",
    models.PriceVersion: "PriceVersion",
    models.Rated: "Rated",
    models.Reservation: "Reservation",
    models.Statement: "Statement",
    models.StatementLine: "StatementLine",
    models.Tier: "Tier",
    models.UnratedList: "UnratedList",
    models.UnratedUsage: "UnratedUsage",
    models.UsageRecorded: "UsageRecorded",
    models.UsageSum: "UsageSum",
    models.BlueprintHistory: "BlueprintHistory",
    models.Authorship: "Authorship",
    models.Blame: "Blame",
    models.Blamed: "Blamed",
    models.Difference: "Difference",
    models.Differences: "Differences",
    models.DocumentVersion: "DocumentVersion",
    models.VersionList: "VersionList",
    models.BlueprintVersion: "BlueprintVersion",
    models.Change: "BlueprintChange",
    models.Changes: "Changes",
    models.ConsistencyProof: "ConsistencyProof",
    models.Credentials: "Credentials",
    models.Event: "Event",
    models.Health: "Health",
    models.InclusionProof: "InclusionProof",
    models.Logs: "Logs",
    models.Page[models.Event]: "EventPage",
    models.Page[models.Platform]: "PlatformPage",
    models.Page[models.Run]: "RunPage",
    models.Page[tenancy.Tenant]: "TenantPage",
    models.Page[models.Token]: "TokenPage",
    models.Platform: "Platform",
    models.PlatformAccepted: "PlatformAccepted",
    models.Problem: "BlueprintProblem",
    models.Release: "Release",
    tenancy.ArchivedMonth: "ArchivedMonth",
    tenancy.ArchivedMonths: "ArchivedMonthPage",
    tenancy.Imported: "Imported",
    subjects.Recipient: "Recipient",
    tenancy.Remains: "Remains",
    tenancy.Rest: "Rest",
    subjects.Subject: "Subject",
    models.Run: "Run",
    models.Step: "Step",
    tenancy.Tenant: "Tenant",
    tenancy.TenantCreated: "TenantCreated",
    models.Token: "Token",
    models.TokenIssued: "TokenIssued",
    models.Validation: "Validation",
    models.ImportedBlueprint: "ImportedBlueprint",
    models.ImportEntry: "ImportEntry",
    models.ImportReport: "ImportReport",
}
"""Each model and the name of the server's schema."""

KEPT = ("type", "format", "items", "additionalProperties", "anyOf", "$ref", "enum", "const")
NAMES = {model.__name__: name for model, name in SCHEMAS.items()}
NO_CALLS = (
    "path",
    "reading",
    "exact",
    "_get",
    "_post",
    "_text",
    "_object",
    "_checkpoint",
    "all_of",
)
SAMPLES: dict[str, Any] = {
    "kind": "blueprint",
    "number": 1,
    "name": "clinic",
    "id": "run_1",
    "wish": Wish("a clinic"),
    "title": "T",
    "label": "l",
    "permissions": ["*"],
    "content": {},
    "expected": "abc",
    "text": "x",
    "form": "sql",
    "to": "dbml",
    "lines": 1,
    "limit": 1,
    "after": None,
    "platform": None,
    "version": 1,
    "old": None,
    "new": None,
    "events": [],
    "wanted": UsageFilter(),
    "prices": {},
    "region": "default",
    "budget_wish": BudgetWish("1"),
    "amount": "1",
    "actual": "1",
    "period": "2026-05",
    "correction": {},
    "types": ["*"],
    "consumer": "one",
    "leased": eventing_answers.LeasedEvents(slot=0, fence=1, cursor="1-1", items=[]),
    "event_id": "e",
    "error": "no",
    "url": "https://x.example/",
    "since": datetime(2030, 1, 1, tzinfo=UTC),
    "reason": "r",
    "vkeys": [],
    "vkey": "x+00000000+AQ==",
    "request": "old 0",
}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return openapi()


def form(schema: Any, document: dict[str, Any]) -> Any:
    """What a schema says about values, without its words; enumerations are looked up."""
    if not isinstance(schema, dict):
        return schema
    reference = schema.get("$ref")
    if reference is not None:
        name = reference.rpartition("/")[2]
        target = (document.get("components", {}).get("schemas") or document["$defs"])[name]
        if target.get("type") != "object":
            return form(target, document)
        return {"is": NAMES.get(name, name)}
    found = {key: form_of(schema[key], document) for key in KEPT if key in schema}
    if "const" in found:
        found = {"type": "string" if isinstance(found["const"], str) else "boolean"}
    if found.get("additionalProperties") is True:
        del found["additionalProperties"]
    return found


def form_of(part: Any, document: dict[str, Any]) -> Any:
    if isinstance(part, list) and part and isinstance(part[0], dict):
        return sorted((form(each, document) for each in part), key=repr)
    if isinstance(part, list):
        return sorted(part)
    return form(part, document)


@pytest.mark.parametrize("model", SCHEMAS, ids=lambda model: model.__name__)
def test_a_model_is_the_servers_schema(model: type[BaseModel], document: dict[str, Any]) -> None:
    theirs = document["components"]["schemas"][SCHEMAS[model]]
    ours = model.model_json_schema(mode="serialization")
    found = {name: form(part, ours) for name, part in ours["properties"].items()}
    wanted = {name: form(part, document) for name, part in theirs["properties"].items()}
    assert found == wanted


def test_every_answer_of_the_server_has_a_model(document: dict[str, Any]) -> None:
    answered = set()
    for path in document["paths"].values():
        for operation in path.values():
            for status, response in operation["responses"].items():
                schema = response.get("content", {}).get("application/json", {}).get("schema", {})
                if status.startswith("2") and "$ref" in schema:
                    answered.add(schema["$ref"].rpartition("/")[2])
    assert answered
    assert answered <= set(SCHEMAS.values())


def called() -> dict[tuple[str, str], str]:
    """Method and path of every call of the client, with samples in place of names."""
    found = {}
    functions = [
        found
        for module in (operations, metering, tenancy, subjects, eventing, witnessing)
        for found in inspect.getmembers(module, inspect.isfunction)
        if found[1].__module__ == module.__name__
    ]
    for name, function in functions:
        parameters = inspect.signature(function).parameters
        if name in NO_CALLS:
            continue
        given = {
            each: SAMPLES[each]
            for each, parameter in parameters.items()
            if parameter.default is inspect.Parameter.empty
        }
        if name == "validate":
            given = {"text": "x"}
        operation = function(**given)
        assert isinstance(operation, Operation)
        found[operation.method, operation.path] = name
    streams = (run_events("run_1"), live_events(None), live_logs("clinic", 1), audit_export())
    for stream in (*streams, tenant_export("clinic")):
        found["GET", stream.path] = "stream"
    return found


def test_the_client_calls_what_the_server_has_and_all_of_it(document: dict[str, Any]) -> None:
    routes = {
        (method.upper(), path): re.compile(re.sub(r"\{\w+\}", "[^/]+", path))
        for path, methods in document["paths"].items()
        for method in methods
    }
    reached = set()
    for (method, path), name in called().items():
        literal = (method, path)
        matching = [literal] if literal in routes else [
            route for route, pattern in routes.items()
            if route[0] == method and pattern.fullmatch(path)
        ]  # fmt: skip
        assert matching, f"{name}: the server has no {method} {path}"
        reached.update(matching)
    assert set(routes) - reached == set()
