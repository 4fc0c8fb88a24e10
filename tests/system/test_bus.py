"""Events leave the running stack: as webhooks, and to programs that take them one by one."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest
from standardwebhooks import Webhook as Receiver

from tests.system.conftest import small, succeeded
from tests.system.test_survival import kill
from webnova import Client
from webnova.client import eventing
from webnova.stack.local import Stack

TYPES = ["run.*", "platform.*"]
PATIENCE_S = 120.0


class Inbox(BaseHTTPRequestHandler):
    """Refuses the first message, and keeps all that it gets."""

    got: ClassVar[list[tuple[dict[str, str], bytes]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(503 if len(self.got) == 1 else 204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing on the error stream."""


@pytest.fixture
def inbox() -> Iterator[str]:
    Inbox.got.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Inbox)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hook"
    server.shutdown()
    thread.join()
    server.server_close()


def test_every_event_of_a_build_arrives_though_the_sender_is_killed(
    stack: Stack, client: Client, inbox: str, name: str
) -> None:
    webhook = client.do(eventing.add_webhook(inbox, TYPES))
    client.do(eventing.open_subscription("copy", TYPES, slots=2))
    last = client.do(eventing.subscription("copy")).slots[0].cursor
    run = client.create(blueprint=small(name)).run
    assert kill(stack, "ray::TenantActor") >= 1
    succeeded(client, run)
    happened = {
        event.event_id
        for event in client.events(last)
        if event.type.partition(".")[0] in ("run", "platform")
    }
    assert len(happened) > 10

    (secret,) = client.do(eventing.webhook_secrets(webhook.id)).secrets
    deadline = time.monotonic() + PATIENCE_S
    while not happened <= (arrived := {headers["webhook-id"] for headers, _ in Inbox.got}):
        assert time.monotonic() < deadline, happened - arrived
        time.sleep(0.2)
    for headers, body in Inbox.got:
        Receiver(secret).verify(body, headers)
    states = {each.state for each in client.pages(eventing.all_of(eventing.deliveries, webhook.id))}
    assert states <= {"delivered", "pending"}

    taken: list[str] = []
    while not happened <= set(taken):
        assert time.monotonic() < deadline, happened - set(taken)
        leased = client.do(eventing.lease_events("copy", "test"))
        if leased.slot is None:
            time.sleep(0.1)
            continue
        taken += [each.event_id for each in leased.items]
        client.do(eventing.acknowledge("copy", leased))
    assert len(taken) == len(set(taken))
    shown = client.do(eventing.subscription("copy"))
    assert shown.dead_letters == 0 and sum(slot.events for slot in shown.slots) == 0
    client.do(eventing.close_subscription("copy"))
    client.do(eventing.remove_webhook(webhook.id))
