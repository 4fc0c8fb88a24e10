from __future__ import annotations

import json
import logging
from typing import Any

import pytest
import structlog
from starlette.types import Message, Receive, Scope, Send

from engine.kernel.errors import NotFound
from serve_apps.middleware import Edge


@pytest.fixture(autouse=True)
def every_level_is_logged() -> None:
    """Commands that ran in this process before may have chosen another level."""
    structlog.reset_defaults()


class Wire:
    """One request on its way through an `Edge`, and everything that comes back."""

    def __init__(self, *chunks: bytes, path: str = "/api/v1/x", **headers: str) -> None:
        self.chunks = list(chunks) or [b""]
        self.read = 0
        self.sent: list[Message] = []
        raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        self.scope: Scope = {"type": "http", "method": "POST", "path": path, "headers": raw}

    async def receive(self) -> Message:
        body = self.chunks[self.read]
        self.read += 1
        return {"type": "http.request", "body": body, "more_body": self.read < len(self.chunks)}

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    async def through(self, app: Any, max_body: int = 10) -> Wire:
        await Edge(app, max_body=max_body)(self.scope, self.receive, self.send)
        return self

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def body(self) -> Any:
        return json.loads(b"".join(each["body"] for each in self.sent[1:]))


async def reader(scope: Scope, receive: Receive, send: Send) -> None:
    more = True
    while more:
        more = (await receive())["more_body"]
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def test_a_body_is_taken_up_to_the_limit() -> None:
    assert (await Wire(b"12345", b"67890").through(reader)).status == 204


async def test_reading_stops_at_the_limit() -> None:
    wire = await Wire(b"12345", b"67890", b"1", b"never", b"read").through(reader)
    assert wire.status == 413
    assert wire.body["code"] == "too_large"
    assert wire.read == 3


async def test_an_announced_body_is_refused_unread() -> None:
    wire = await Wire(b"x", content_length="11").through(reader)
    assert wire.status == 413
    assert wire.read == 0
    assert (await Wire(b"x", content_length="10").through(reader)).status == 204


async def test_previews_have_no_limit() -> None:
    wire = Wire(b"x" * 1000, b"x" * 1000, path="/p/t/shop/upload", content_length="2000")
    assert (await wire.through(reader)).status == 204


async def test_an_unknown_error_tells_its_trace_and_nothing_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)

    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("password=hunter2 at /srv/secret.py")

    trace = f"00-{'ab' * 16}-{'cd' * 8}-01"
    with structlog.testing.capture_logs() as logs:
        wire = await Wire(traceparent=trace).through(broken)
    assert wire.status == 500
    assert wire.body["trace"] == "ab" * 16
    assert "hunter2" not in str(wire.sent)
    assert "secret.py" not in str(wire.sent)
    assert [each["event"] for each in logs] == ["request failed", "request"]
    assert logs[1]["status"] == 500


async def test_an_error_after_the_answer_began_cuts_it_off() -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise NotFound("too late")

    wire = Wire()
    with pytest.raises(NotFound):
        await wire.through(broken)
    assert len(wire.sent) == 1


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (f"00-{'ab' * 16}-{'cd' * 8}-01", True),
        (f"00-{'00' * 16}-{'cd' * 8}-01", False),
        (f"00-{'ab' * 16}-{'00' * 8}-01", False),
        (f"00-{'AB' * 16}-{'cd' * 8}-01", False),
        (f"ff-{'ab' * 16}-{'cd' * 8}-01", False),
        ("x" * 5000, False),
    ],
)
async def test_a_trace_is_taken_over_if_it_is_one(sent: str, kept: bool) -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["state"]["trace"])
        await reader(scope, receive, send)

    await Wire(traceparent=sent).through(app)
    assert (seen[0] == sent) is kept
    assert seen[0].count("-") == 3


async def test_clients_cannot_set_the_servers_deadlines() -> None:
    seen: list[dict[bytes, bytes]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(dict(scope["headers"]))
        await reader(scope, receive, send)

    await Wire(x_request_timeout_seconds="0.001", x_kept="1").through(app)
    assert seen == [{b"x-kept": b"1"}]


async def test_the_access_log_names_no_query(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    wire = Wire(path="/api/v1/platforms")
    wire.scope["query_string"] = b"token=wn_secret"
    with structlog.testing.capture_logs() as logs:
        await wire.through(reader)
    assert logs[0]["path"] == "/api/v1/platforms"
    assert logs[0]["status"] == 204
    assert "wn_secret" not in str(logs)
