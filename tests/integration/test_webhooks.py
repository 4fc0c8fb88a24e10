"""Webhooks: signed by the specification, sent until they arrive, and never into private networks.

Signatures are checked by the specification's own library.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
import uvicorn
from standardwebhooks import Webhook as Receiver

from engine.conductor.catalogue import PROJECTIONS
from engine.kernel.clock import system_clock
from engine.kernel.contracts import Query
from engine.kernel.dispatch import ROOT_TENANT
from engine.kernel.errors import Conflict, InvalidInput, NotFound, WebNovaError
from engine.kernel.secret import Secret
from engine.ledger.streams import Append, NewEvent, Origin
from engine.ledger.subscriptions.projections import Driver
from engine.ledger.webhooks import endpoints, sending
from engine.ledger.webhooks.addresses import AllowedNetworks, checked
from engine.ledger.webhooks.endpoints import (
    AddWebhook,
    ChangeWebhook,
    DisableWebhook,
    EnableWebhook,
    GetWebhook,
    ListDeliveries,
    RemoveWebhook,
    ReplayWebhook,
    RetryDelivery,
    RotateWebhookSecret,
    WebhookView,
)
from engine.ledger.webhooks.sending import DISABLED_AFTER, WAITS, HttpSender, Postman
from engine.ledger.webhooks.signing import secret_of, signed_headers
from engine.trust.tenants import CreateTenant, ResumeTenant, SuspendTenant
from engine.trust.tokens import TokenRevoked
from storage.database import Database
from storage.subscriptions import PostgresSlots
from storage.webhooks import PostgresDeliveryBacklog
from tests.conftest import TestDatabase
from tests.integration.conftest import execute, owner
from webnova.compose import Installation

ORIGIN = Origin(caller="token:owner")
LOOPBACK = AllowedNetworks.parse("127.0.0.0/8, ::1/128")


class Inbox:
    """A receiver on loopback that keeps what it gets and answers as it is told."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.status = 204
        self.url = ""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.got.append((headers, body))
        location = [(b"location", b"/elsewhere")] if self.status == 302 else []
        start = {"type": "http.response.start", "status": self.status, "headers": location}
        await send(start)
        await send({"type": "http.response.body", "body": b""})


@pytest.fixture
async def inbox() -> AsyncIterator[Inbox]:
    app = Inbox()
    config = uvicorn.Config(app, port=0, log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn tells it in no other way
        await asyncio.sleep(0.01)
    app.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/hook?x=1"
    yield app
    server.should_exit = True
    await serving


class Clock:
    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return system_clock() + self.ahead


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(sending, "now", made)
    monkeypatch.setattr(endpoints, "now", made)
    return made


class Rig:
    """The two loops that the executor runs, turned by hand."""

    def __init__(
        self, installation: Installation, postgres: TestDatabase, tenant: str, allowed: Any
    ) -> None:
        self.installation, self.tenant = installation, tenant
        self.failures: list[Exception] = []
        self.database = Database(postgres.worker_url, size=2)
        self.driver = Driver(
            "driver", PostgresSlots(self.database), PROJECTIONS, installation.dispatcher, self._fail
        )
        self.sender = HttpSender(allowed, timeout=5)
        self.postman = Postman(
            "postman",
            PostgresDeliveryBacklog(self.database),
            self.sender,
            installation.webhook_key,
            installation.dispatcher,
            self._fail,
        )

    def _fail(self, tenant: str, error: Exception) -> None:
        self.failures.append(error)

    async def turn(self) -> None:
        await self.driver.turn()
        await self.postman.turn()
        assert not self.failures

    async def close(self) -> None:
        await self.sender.close()
        await self.database.close()

    async def tell(self, command: Any) -> Any:
        return await execute(self.installation, self.tenant, command)

    async def ask(self, query: Query) -> Any:
        return await self.installation.dispatcher.ask(query, owner(self.tenant), self.tenant)

    async def happen(self, stream: str = "t") -> None:
        append = Append("seen", stream, [NewEvent(TokenRevoked())])
        await self.installation.streams.append(self.tenant, [append], ORIGIN)

    async def add(self, url: str, *types: str) -> WebhookView:
        found = await self.tell(AddWebhook(url=url, types=list(types or ("token.*",))))
        assert isinstance(found, WebhookView)
        return found

    def secret(self, webhook: str, generation: int = 1) -> str:
        key = self.installation.webhook_key()
        return secret_of(key, self.tenant, webhook, generation).reveal()

    async def deliveries(self, webhook: str) -> list[tuple[str, int, int | None]]:
        found = await self.ask(ListDeliveries(id=webhook))
        return [(each.state, each.attempts, each.status) for each in found.items]


@pytest.fixture
async def rig(
    installation: Installation, postgres: TestDatabase, tenant: str
) -> AsyncIterator[Rig]:
    made = Rig(installation, postgres, tenant, LOOPBACK)
    yield made
    await made.close()


async def test_an_event_arrives_signed_once(rig: Rig, inbox: Inbox) -> None:
    webhook = await rig.add(inbox.url)
    await rig.add(inbox.url, "tenant.*")
    await rig.happen()
    await rig.turn()
    await rig.turn()
    ((headers, body),) = inbox.got
    content = Receiver(rig.secret(webhook.id)).verify(body, headers)
    assert content["type"] == "token.revoked"
    assert content["data"] == {"kind": "seen", "id": "t", "version": 1, "content": {}}
    assert headers["content-type"] == "application/json"
    with pytest.raises(Exception, match="signature"):
        Receiver(rig.secret(webhook.id, 2)).verify(body, headers)
    with pytest.raises(Exception, match="signature"):
        Receiver(rig.secret(webhook.id)).verify(body + b" ", headers)
    assert await rig.deliveries(webhook.id) == [("delivered", 1, 204)]


async def test_both_secrets_sign_for_a_day_after_a_rotation(
    rig: Rig, inbox: Inbox, clock: Clock
) -> None:
    webhook = await rig.add(inbox.url)
    await rig.tell(RotateWebhookSecret(id=webhook.id))
    await rig.happen()
    await rig.turn()
    headers, body = inbox.got[0]
    for generation in (1, 2):
        Receiver(rig.secret(webhook.id, generation)).verify(body, headers)
    clock.ahead += timedelta(hours=25)
    await rig.happen()
    await rig.turn()
    assert len(inbox.got[1][0]["webhook-signature"].split()) == 1
    assert len(headers["webhook-signature"].split()) == 2


async def test_failures_are_tried_again_with_growing_waits(
    rig: Rig, inbox: Inbox, clock: Clock
) -> None:
    inbox.status = 500
    webhook = await rig.add(inbox.url)
    await rig.happen()
    for wait in WAITS:
        before = len(inbox.got)
        await rig.turn()
        assert len(inbox.got) == before + 1
        await rig.turn()
        assert len(inbox.got) == before + 1
        clock.ahead += wait * 1.1 + timedelta(seconds=1)
    inbox.status = 200
    await rig.turn()
    assert await rig.deliveries(webhook.id) == [("delivered", len(WAITS) + 1, 200)]
    assert len({headers["webhook-id"] for headers, _ in inbox.got}) == 1
    assert len({body for _, body in inbox.got}) == 1


async def test_what_has_failed_for_good_can_be_sent_again(
    rig: Rig, inbox: Inbox, clock: Clock
) -> None:
    inbox.status = 302
    webhook = await rig.add(inbox.url)
    await rig.happen()
    for wait in (*WAITS, timedelta()):
        await rig.turn()
        clock.ahead += wait * 1.1 + timedelta(seconds=1)
    assert await rig.deliveries(webhook.id) == [("failed", len(WAITS) + 1, 302)]
    inbox.status = 200
    started = clock() - timedelta(days=30)
    assert (await rig.tell(ReplayWebhook(id=webhook.id, since=started))).count == 1
    await rig.turn()
    assert await rig.deliveries(webhook.id) == [("delivered", 1, 200)]
    assert (await rig.tell(ReplayWebhook(id=webhook.id, since=started))).count == 0
    (delivery,) = (await rig.ask(ListDeliveries(id=webhook.id))).items
    await rig.tell(RetryDelivery(id=webhook.id, event_id=delivery.event_id))
    count = len(inbox.got)
    await rig.turn()
    assert len(inbox.got) == count + 1


async def test_a_receiver_that_is_gone_or_fails_for_long_is_disabled(
    rig: Rig, inbox: Inbox, clock: Clock
) -> None:
    gone = await rig.add(inbox.url)
    inbox.status = 410
    await rig.happen()
    await rig.turn()
    assert "410" in (await rig.ask(GetWebhook(id=gone.id))).disabled
    await rig.tell(RemoveWebhook(id=gone.id))
    with pytest.raises(NotFound):
        await rig.ask(GetWebhook(id=gone.id))

    silent = await rig.add(inbox.url)
    inbox.status = 503
    await rig.happen()
    await rig.turn()
    clock.ahead += DISABLED_AFTER - timedelta(hours=1)
    await rig.happen()
    await rig.turn()
    assert (await rig.ask(GetWebhook(id=silent.id))).disabled is None
    clock.ahead += timedelta(hours=2)
    await rig.happen()
    await rig.turn()
    assert "5 days" in (await rig.ask(GetWebhook(id=silent.id))).disabled
    count = len(inbox.got)
    await rig.happen()
    await rig.turn()
    assert len(inbox.got) == count
    with pytest.raises(Conflict, match="Enable"):
        await rig.tell(ReplayWebhook(id=silent.id, since=clock()))
    # What happened meanwhile is sent when it is asked for.
    inbox.status = 200
    await rig.tell(EnableWebhook(id=silent.id))
    since = system_clock() - timedelta(minutes=5)
    assert (await rig.tell(ReplayWebhook(id=silent.id, since=since))).count >= 2
    await rig.turn()
    assert {state for state, _, _ in await rig.deliveries(silent.id)} == {"delivered"}


async def test_a_sender_that_dies_leaves_nothing_unsent(
    rig: Rig, inbox: Inbox, clock: Clock
) -> None:
    webhook = await rig.add(inbox.url)
    await rig.happen()
    await rig.driver.turn()
    await rig.tell(sending.TakeDeliveries())
    await rig.turn()
    assert not inbox.got
    clock.ahead += sending.SENDING
    await rig.turn()
    assert await rig.deliveries(webhook.id) == [("delivered", 2, 204)]


async def test_nothing_is_sent_for_a_suspended_tenant(rig: Rig, inbox: Inbox) -> None:
    created = CreateTenant(name=rig.tenant, title="Resting")
    await execute(rig.installation, ROOT_TENANT, created)
    webhook = await rig.add(inbox.url)
    await rig.happen()
    await rig.driver.turn()
    await execute(rig.installation, ROOT_TENANT, SuspendTenant(name=rig.tenant, reason="unpaid"))
    await rig.happen()
    await rig.turn()
    assert not inbox.got
    await execute(rig.installation, ROOT_TENANT, ResumeTenant(name=rig.tenant))
    await rig.turn()
    assert await rig.deliveries(webhook.id) == [("delivered", 1, 204)] * 2


async def test_private_networks_are_out_of_reach(
    installation: Installation, postgres: TestDatabase, tenant: str, inbox: Inbox
) -> None:
    rig = Rig(installation, postgres, tenant, AllowedNetworks())
    webhook = await rig.add(inbox.url)
    await rig.happen()
    await rig.turn()
    assert not inbox.got
    (delivery,) = (await rig.ask(ListDeliveries(id=webhook.id))).items
    assert "private" in delivery.error and delivery.state == "pending"
    await rig.close()


@pytest.mark.parametrize(
    "url",
    [
        "http://10.1.2.3/x",
        "https://127.0.0.1/x",
        "https://[::1]/x",
        "https://169.254.169.254/latest",
        "https://localhost/x",
        "https://[::ffff:127.0.0.1]/x",
        "https://0.0.0.0/x",
        "http://1.1.1.1/plain",
    ],
)
async def test_addresses_that_are_refused_when_sending(url: str) -> None:
    with pytest.raises(InvalidInput):
        await AllowedNetworks().resolve(url)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x.example/",
        "nonsense",
        "https://",
        "https://u:p@x.example/",
        "https://x:0/",
        "//x",
        "https://x.example/#part",
        "https://[::1",
        "https://x.example:99999/",
    ],
)
async def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(InvalidInput):
        checked(url)


async def test_bad_wishes_change_nothing(rig: Rig, inbox: Inbox, app: asyncpg.Connection) -> None:
    for wish in (
        AddWebhook(url="ftp://x/", types=["*"]),
        AddWebhook(url=inbox.url, types=["nothing.*"]),
        DisableWebhook(id="whk_0"),
        RotateWebhookSecret(id="whk_0"),
        ChangeWebhook(id="whk_0", url=inbox.url, types=["*"]),
    ):
        with pytest.raises(WebNovaError):
            await rig.tell(wish)
    assert await app.fetchval("SELECT count(*) FROM webnova.events") == 0


def test_networks_that_are_none() -> None:
    with pytest.raises(InvalidInput, match="WEBNOVA_WEBHOOK_NETWORKS"):
        AllowedNetworks.parse("10.0.0.0/99")


def test_a_signature_is_that_of_the_reference_library() -> None:
    secret = Secret("whsec_" + base64.b64encode(bytes(range(32))).decode())
    at = datetime(2030, 1, 1, tzinfo=UTC)
    reference = Receiver(secret.reveal()).sign("msg_1", at, '{"test": "é"}')
    ours = signed_headers([secret], "msg_1", int(at.timestamp()), '{"test": "é"}'.encode())
    assert ours["webhook-signature"] == reference
