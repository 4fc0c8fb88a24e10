"""Streams that outlive an ordinary request: server-sent events and proxied bodies.

A stream ends for one of four reasons: its source is exhausted, the client is gone, the caller's
right to it is gone, or the process shuts down. In each case everything it held is released at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from datetime import datetime
from typing import Any

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from engine.conductor.catalogue import CATALOGUE
from engine.kernel.contracts import Recorded, View
from engine.kernel.errors import WebNovaError

HEARTBEAT_S = 15.0
RECONNECT_MS = 1000
NEWEST = -1
"""The offset that stands for the last part of a log."""

HEARTBEAT = b": still here\n\n"
OPENING = f"retry: {RECONNECT_MS}\n: connected\n\n".encode()

_log = structlog.get_logger(__name__)


class Event(View):
    """One recorded fact, as readers of the event stream see it.

    `cursor` is its place in the tenant's stream, `version` its place in its own.
    """

    cursor: str
    event_id: str
    type: str
    kind: str
    id: str
    version: int
    at: datetime
    data: dict[str, Any]
    metadata: dict[str, Any]


def shown(recorded: Recorded) -> Event:
    """A recorded event without what is for the machinery only."""
    return Event(
        cursor=recorded.cursor,
        event_id=recorded.event_id,
        type=recorded.type,
        kind=recorded.kind,
        id=recorded.id,
        version=recorded.version,
        at=recorded.at,
        data=CATALOGUE.public_data(recorded),
        metadata=dict(recorded.metadata),
    )


def frame(data: str, *, event: str | None = None, id: str | None = None) -> bytes:
    """One server-sent event (WHATWG HTML, section 9.2)."""
    lines = [f"id: {id}"] if id is not None else []
    if event is not None:
        lines.append(f"event: {event}")
    # Only these end a line in the format; any other separator is content.
    parts = data.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    lines.extend(f"data: {part}" for part in parts)
    return ("\n".join(lines) + "\n\n").encode("utf-8", "replace")


def event_frame(recorded: Recorded) -> bytes:
    return frame(shown(recorded).model_dump_json(), event=recorded.type, id=recorded.cursor)


class Streams:
    """The open streams of one process, and the word that they shall end."""

    def __init__(self) -> None:
        self.closing = asyncio.Event()
        self.open = 0

    def close(self) -> None:
        """Let every stream end by itself now; clients come back to another process."""
        self.closing.set()


class WatchedStream(Response):
    """A streamed answer that stops as soon as nobody wants it any more.

    `chunks` and what is `held` for them are closed in every case, also when the client leaves
    while it waits for more. With `streams`, the answer ends properly when the process is told to
    close its streams.
    """

    def __init__(
        self,
        chunks: AsyncGenerator[bytes, None],
        status: int = 200,
        *,
        raw_headers: list[tuple[bytes, bytes]],
        streams: Streams | None = None,
        held: AsyncExitStack | None = None,
    ) -> None:
        self._chunks = chunks
        self._held = held or AsyncExitStack()
        self._streams = streams
        self.status_code = status
        self.raw_headers = raw_headers
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._streams is not None:
            self._streams.open += 1
        try:
            start = {"status": self.status_code, "headers": self.raw_headers}
            await send({"type": "http.response.start", **start})
            finished = await self._race(receive, send)
            if finished:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            await self._chunks.aclose()
            await self._held.aclose()
            if self._streams is not None:
                self._streams.open -= 1

    async def _race(self, receive: Receive, send: Send) -> bool:
        """Send until the first reason to stop; whether the client is still there then."""
        sending = asyncio.create_task(self._send_all(send))
        leaving = asyncio.create_task(_left(receive))
        tasks: set[asyncio.Task[Any]] = {sending, leaving}
        if self._streams is not None:
            tasks.add(asyncio.create_task(self._streams.closing.wait()))
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _cancel(tasks)
        if sending.done() and not sending.cancelled():
            sending.result()
        return not (leaving.done() and not leaving.cancelled())

    async def _send_all(self, send: Send) -> None:
        async for chunk in self._chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _cancel(tasks: set[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def event_stream(chunks: AsyncGenerator[bytes, None], streams: Streams) -> WatchedStream:
    """An endless `text/event-stream` answer."""
    headers = [
        (b"content-type", b"text/event-stream; charset=utf-8"),
        (b"cache-control", b"no-store"),
        (b"x-accel-buffering", b"no"),
    ]
    return WatchedStream(chunks, raw_headers=headers, streams=streams)


async def recorded_frames(
    events: AsyncIterator[Recorded | None],
    prove_again: Callable[[], Awaitable[None]],
    last: Callable[[Recorded], bool] = lambda _: False,
) -> AsyncGenerator[bytes, None]:
    """The frames of a subscription, up to and with the one that `last` names.

    At least every `HEARTBEAT_S` seconds `prove_again` may refuse, and then the stream ends. So it
    does when the database goes away: the client asks again with the last id and misses nothing.
    """
    yield OPENING
    proved = time.monotonic()
    try:
        async with aclosing(events) as source:  # type: ignore[type-var]
            async for recorded in source:
                yield HEARTBEAT if recorded is None else event_frame(recorded)
                if recorded is not None and last(recorded):
                    return
                if time.monotonic() - proved >= HEARTBEAT_S:
                    await prove_again()
                    proved = time.monotonic()
    except WebNovaError as error:
        _log.info("stream ended", cause=error.code)


async def log_frames(
    read: Callable[[int], Awaitable[tuple[list[str], int]]],
    prove_again: Callable[[], Awaitable[None]],
    *,
    offset: int | None,
    lines: int,
    interval: float = 0.5,
) -> AsyncGenerator[bytes, None]:
    """Log lines as they are written, one event each; the id is the offset after a whole batch.

    Without an `offset` the newest `lines` lines come first. A client that resumes in the middle
    of a batch gets that batch again.
    """
    yield OPENING
    proved = sent = time.monotonic()
    try:
        while True:
            batch, offset_after = await read(NEWEST if offset is None else offset)
            if offset is None:
                batch = batch[-lines:]
            offset = offset_after
            if batch:
                sent = time.monotonic()
                frames = [frame(line) for line in batch[:-1]]
                yield b"".join([*frames, frame(batch[-1], id=str(offset))])
            else:
                await asyncio.sleep(interval)
            if time.monotonic() - sent >= HEARTBEAT_S:
                sent = time.monotonic()
                yield HEARTBEAT
            if time.monotonic() - proved >= HEARTBEAT_S:
                await prove_again()
                proved = time.monotonic()
    except WebNovaError as error:
        _log.info("stream ended", cause=error.code)
