"""Commands, queries, events, documents and errors keep what the design promises of them."""

from __future__ import annotations

import json
import pickle

import pytest

from engine.conductor.catalogue import CATALOGUE, all_handlers
from engine.kernel.contracts import Command, Event, Query
from engine.kernel.errors import WebNovaError, error_types
from engine.kernel.secret import Secret
from engine.trust.tokens import PERMISSIONS

HANDLERS = all_handlers()
WITHOUT_EVENT = {
    "KeepBlob",
    "RecordUsage",
    "Project",
    "LeaseEvents",
    "AcknowledgeEvents",
    "RejectEvent",
    "RetryDelivery",
    "ReplayWebhook",
    "TakeDeliveries",
    "RestoreDocument",
    "WitnessCheckpoint",
}
"""Commands that only add to content-addressed storage or to a series of rows, or that keep the
place of a reader of events or logs: an event for each that is read would never end; and one that
stands for other commands, whose events it leaves."""


def _subclasses(base: type) -> set[type]:
    found = set(base.__subclasses__())
    return found | {deep for each in found for deep in _subclasses(each)}


@pytest.mark.parametrize("command", HANDLERS.commands, ids=lambda each: each.__name__)
def test_every_command_declares_its_permission_and_its_events(command: type[Command]) -> None:
    assert command.permission in PERMISSIONS
    assert command.emits or command.__name__ in WITHOUT_EVENT
    for event in command.emits:
        assert CATALOGUE.events[event.type] is event
    assert command.model_json_schema()["type"] == "object"


@pytest.mark.parametrize("query", HANDLERS.queries, ids=lambda each: each.__name__)
def test_every_query_declares_its_permission(query: type[Query]) -> None:
    assert query.permission in PERMISSIONS


def test_no_command_query_or_event_is_left_out_of_the_catalogue() -> None:
    engine = {each for each in _subclasses(Command) if each.__module__.startswith("engine.")}
    bases = {each for each in engine if each.__subclasses__()}
    assert engine - bases == set(HANDLERS.commands)
    queries = {each for each in _subclasses(Query) if each.__module__.startswith("engine.")}
    bases = {each for each in queries if each.__subclasses__()}
    assert queries - bases == set(HANDLERS.queries)
    events = {each for each in _subclasses(Event) if each.__module__.startswith("engine.")}
    assert events == set(CATALOGUE.events.values())


def test_every_event_is_emitted_by_some_command() -> None:
    emitted = {event for command in HANDLERS.commands for event in command.emits}
    assert emitted == set(CATALOGUE.events.values())


@pytest.mark.parametrize("error", error_types(), ids=lambda each: each.__name__)
def test_errors_survive_pickling_and_speak_problem_json(error: type[WebNovaError]) -> None:
    made = error("what happened", mend="how to mend it", place="here")
    again = pickle.loads(pickle.dumps(made))
    assert type(again) is error
    assert (again.detail, again.mend, again.fields) == (made.detail, made.mend, made.fields)
    problem = json.loads(json.dumps(again.problem()))
    assert problem["status"] == error.status and problem["code"] == error.code
    assert problem["place"] == "here" and problem["detail"] == "what happened"


def test_error_codes_are_unique() -> None:
    codes = [each.code for each in error_types()]
    assert len(codes) == len(set(codes))


def test_fields_of_an_error_cannot_overwrite_the_problem() -> None:
    problem = WebNovaError("real", status=200, detail_="x").problem()
    assert problem["status"] == 500


def test_a_secret_does_not_leak_by_accident() -> None:
    secret = Secret("hunter2")
    for shown in (str(secret), repr(secret), f"{secret}", f"{secret:>20}", str([secret])):
        assert "hunter2" not in shown
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        json.dumps({"s": secret})
    with pytest.raises(TypeError):
        hash(secret)
    assert secret.reveal() == "hunter2"
