"""Streams that go on after a lost connection: what both clients decide in the same way."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from engine.kernel.errors import Unavailable
from webnova.client.models import Event
from webnova.client.operations import path
from webnova.client.sse import Decoder, ServerSentEvent

T = TypeVar("T")
RUN_ENDS = frozenset({"run.succeeded", "run.failed", "run.cancelled"})


@dataclass
class Stream(Generic[T]):
    """A stream of server-sent events and where in it we are.

    `ends` says whether an item is the last one; a stream without it goes on for ever. `cursor` is
    sent as `Last-Event-ID` at every connection, so that nothing is lost or seen twice. `run` is
    the run that a finite stream is about.
    """

    path: str
    read: Callable[[ServerSentEvent], T]
    ends: Callable[[T], bool] | None = None
    params: dict[str, Any] = field(default_factory=dict)
    cursor: str = ""
    run: str | None = None
    over: bool = False
    _ended: bool = False
    _seen: int = 0

    def headers(self) -> dict[str, str]:
        resume = {"last-event-id": self.cursor} if self.cursor else {}
        return {"accept": "text/event-stream", "cache-control": "no-store", **resume}

    def connected(self) -> Decoder:
        self._seen = 0
        return Decoder(self.cursor)

    def items(self, decoder: Decoder, chunk: bytes) -> Iterator[T]:
        for event in decoder.feed(chunk):
            item = self.read(event)
            self.cursor = event.id
            self._seen += 1
            self.over = self.ends is not None and self.ends(item)
            yield item
            if self.over:
                return

    def run_to_ask(self) -> str | None:
        """After a connection that the server closed: the run whose state must be asked for now.

        A server that stops closes streams too. A stream without its last item is over only when
        the run was known to have ended before a connection that brought nothing more.
        """
        self.over = self.over or (self._ended and self._seen == 0)
        return None if self.over or self._ended else self.run

    def run_ended(self, ended: bool) -> None:
        self._ended = ended


class Export(Stream[bytes]):
    """The lines of a finite answer that can't be taken up again where it broke off."""

    _begun = False
    _rest = b""

    def headers(self) -> dict[str, str]:
        if self._begun:
            raise Unavailable(
                "The connection broke off in the middle of the export.",
                mend="Begin again; the part that came is of no use.",
            )
        return {"accept": "application/x-ndjson", "cache-control": "no-store"}

    def items(self, decoder: Decoder, chunk: bytes) -> Iterator[bytes]:
        self._begun = True
        # Only a line feed ends a line: within JSON other separators are content.
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        yield from lines

    def run_to_ask(self) -> None:
        self.over = True


def run_events(id: str) -> Stream[Event]:
    def ends(event: Event) -> bool:
        return event.type in RUN_ENDS and event.id == id

    return Stream(path("runs", id, "events"), _event, ends, run=id)


def live_events(after: str | None) -> Stream[Event]:
    return Stream(path("events"), _event, cursor=after or "")


def live_logs(name: str, lines: int) -> Stream[str]:
    params = {"lines": lines, "follow": "true"}
    return Stream(path("platforms", name, "logs"), lambda event: event.data, params=params)


def audit_export() -> Stream[bytes]:
    return Export(path("audit", "export"), lambda event: event.data.encode())


def tenant_export(name: str, recipient: str | None = None) -> Stream[bytes]:
    params = {} if recipient is None else {"recipient": recipient}
    return Export(path("tenants", name, "export"), lambda event: event.data.encode(), params=params)


def _event(event: ServerSentEvent) -> Event:
    try:
        return Event.model_validate({**json.loads(event.data), "cursor": event.id})
    except (ValidationError, ValueError, TypeError) as error:
        raise Unavailable(
            "The server's stream holds something that is no event.",
            mend="Check that the address is that of a WebNova API of this version.",
        ) from error
