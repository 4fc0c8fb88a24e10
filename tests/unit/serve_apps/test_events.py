from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any

import pytest
from starlette.types import Message

from engine.kernel.contracts import Recorded
from engine.kernel.errors import Unauthenticated, Unavailable
from serve_apps import events
from serve_apps.events import Streams, WatchedStream, event_frame, frame, recorded_frames, shown


def recorded(position: int = 1, type: str = "x.done", **data: Any) -> Recorded:
    return Recorded(
        tenant="t",
        xid=7,
        position=position,
        kind="x",
        id="1",
        version=position,
        event_id="e",
        type=type,
        schema_version=1,
        data=data,
        metadata={"caller": "token:1"},
        at=datetime(2030, 1, 1, tzinfo=UTC),
    )


async def nothing() -> None:
    pass


async def listed(*items: Recorded | None, error: Exception | None = None) -> Any:
    for item in items:
        yield item
    if error:
        raise error


async def collect(frames: AsyncGenerator[bytes, None]) -> list[bytes]:
    return [each async for each in frames]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("one", b"data: one\n\n"),
        ("one\ntwo\r\nthree\rfour", b"data: one\ndata: two\ndata: three\ndata: four\n\n"),
        ("", b"data: \n\n"),
        ("a\u2028b\x0bc", "data: a\u2028b\x0bc\n\n".encode()),
        ("\ud800", b"data: ?\n\n"),
    ],
)
def test_a_frame_holds_any_text(data: str, expected: bytes) -> None:
    assert frame(data) == expected


def test_a_frame_with_all_its_fields() -> None:
    assert frame("x", event="y", id="7-1") == b"id: 7-1\nevent: y\ndata: x\n\n"
    assert event_frame(recorded()).startswith(b"id: 7-1\nevent: x.done\ndata: {")


def test_what_is_for_the_machinery_is_not_shown() -> None:
    output = {"address": "unix:/x", "blueprint": {}, "passed": 3}
    view = shown(recorded(secret_sha256="ab", address="unix:/x", output=output, kept=1))
    assert view.data == {"output": {"passed": 3}, "kept": 1}


async def test_a_stream_ends_with_the_last_event() -> None:
    source = listed(recorded(1), None, recorded(2, "x.end"), recorded(3))
    sent = await collect(recorded_frames(source, nothing, lambda event: event.type == "x.end"))
    assert sent[0] == events.OPENING
    assert [b"x.done" in each for each in sent[1:]] == [True, False, False]
    assert sent[2] == events.HEARTBEAT
    assert b"event: x.end" in sent[3]
    assert len(sent) == 4


async def test_a_stream_ends_when_the_right_to_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_S", 0.0)
    asked = 0

    async def prove() -> None:
        nonlocal asked
        asked += 1
        if asked == 2:
            raise Unauthenticated("revoked")

    sent = await collect(recorded_frames(listed(*map(recorded, range(1, 9))), prove))
    assert len(sent) == 1 + 2


async def test_a_database_that_goes_away_ends_the_stream_politely() -> None:
    source = listed(recorded(1), error=Unavailable("gone"))
    assert len(await collect(recorded_frames(source, nothing))) == 2
    with pytest.raises(ZeroDivisionError):
        await collect(recorded_frames(listed(error=ZeroDivisionError()), nothing))


class Connection:
    """A client at the end of an ASGI connection."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.gone = asyncio.Event()

    async def receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)


class Source:
    def __init__(self, chunks: int | None) -> None:
        self.closed = False
        self._chunks = chunks

    async def __call__(self) -> AsyncGenerator[bytes, None]:
        try:
            for _ in range(self._chunks or 0):
                yield b"x"
            if self._chunks is None:
                await asyncio.sleep(3600)
        finally:
            self.closed = True


async def run(source: Source, connection: Connection, streams: Streams) -> asyncio.Task[None]:
    stream = WatchedStream(source(), raw_headers=[], streams=streams)
    task = asyncio.create_task(stream({"type": "http"}, connection.receive, connection.send))
    await asyncio.sleep(0.01)
    return task


async def test_an_exhausted_source_ends_the_answer() -> None:
    source, connection, streams = Source(3), Connection(), Streams()
    await (await run(source, connection, streams))
    assert [each.get("body") for each in connection.sent] == [None, b"x", b"x", b"x", b""]
    assert connection.sent[-1]["more_body"] is False
    assert source.closed
    assert streams.open == 0


async def test_a_client_who_leaves_ends_a_silent_stream() -> None:
    source, connection, streams = Source(None), Connection(), Streams()
    task = await run(source, connection, streams)
    assert streams.open == 1
    connection.gone.set()
    await asyncio.wait_for(task, 5)
    assert source.closed
    assert streams.open == 0
    assert len(connection.sent) == 1


async def test_closing_ends_a_silent_stream_properly() -> None:
    source, connection, streams = Source(None), Connection(), Streams()
    task = await run(source, connection, streams)
    streams.close()
    await asyncio.wait_for(task, 5)
    assert source.closed
    assert connection.sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}


async def test_a_cancelled_answer_frees_its_source() -> None:
    source, connection, streams = Source(None), Connection(), Streams()
    task = await run(source, connection, streams)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert source.closed
    assert streams.open == 0
