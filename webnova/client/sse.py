"""Server-sent events, read as the WHATWG HTML standard (9.2) describes the stream."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass

_LINE_END = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """`id` is the last id seen in the stream, also when this event brought none of its own."""

    event: str
    data: str
    id: str


class Decoder:
    """Turns the bytes of one connection into events, however they are cut into chunks.

    Lines end as the standard says and nowhere else: text may hold any other separator.
    """

    def __init__(self, last_id: str = "") -> None:
        self._text = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self._started = False
        self._id = last_id
        self._event = ""
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> Iterator[ServerSentEvent]:
        """The events that `chunk` completes; an event cut off by the end is never given."""
        text = self._rest + self._text.decode(chunk)
        if not self._started and text:
            self._started = True
            text = text.removeprefix("\ufeff")
        # A carriage return at the end may be the first half of a line end.
        held = text.endswith("\r")
        lines = _LINE_END.split(text[:-1] if held else text)
        self._rest = lines.pop() + ("\r" if held else "")
        for line in lines:
            if (found := self._line(line)) is not None:
                yield found

    def _line(self, line: str) -> ServerSentEvent | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._event = value
        elif name == "id" and "\0" not in value:
            self._id = value
        return None

    def _dispatch(self) -> ServerSentEvent | None:
        event, data = self._event, self._data
        self._event, self._data = "", []
        return ServerSentEvent(event or "message", "\n".join(data), self._id) if data else None
