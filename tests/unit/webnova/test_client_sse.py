"""Reading server-sent events, however the bytes are cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webnova.client.sse import Decoder, ServerSentEvent

OPENING = "\ufeffretry: 10\n: hello\n\n"
START = "id: 1-2\nevent: عيادة\ndata: a\ndata:  b\n\ndata\n\nevent: x\n\n"
REST = 'data: {"t": "\u2028\x85"}\r\n\r\nid: 3\rdata: c\r\rdata: cut'
STREAM = (OPENING + START + REST).encode()
EXPECTED = [
    ServerSentEvent("عيادة", "a\n b", "1-2"),
    ServerSentEvent("message", "", "1-2"),
    ServerSentEvent("message", '{"t": "\u2028\x85"}', "1-2"),
    ServerSentEvent("message", "c", "3"),
]


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_the_cuts_make_no_difference(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(STREAM)]
    decoder = Decoder()
    found = [event for begin, end in pairwise(places) for event in decoder.feed(STREAM[begin:end])]
    assert found == EXPECTED


@given(st.text(alphabet=st.characters(exclude_characters="\r\n", exclude_categories=["Cs"])))
def test_any_line_of_text_survives(text: str) -> None:
    assert [event.data for event in Decoder().feed(f"data: {text}\n\n".encode())] == [text]


def test_the_last_id_is_kept_over_a_reconnection() -> None:
    assert [event.id for event in Decoder("7").feed(b"data: x\n\nid: 8\ndata: y\n\n")] == ["7", "8"]


@pytest.mark.parametrize("line", [b"id: a\0b", b"unknown: 1", b"retry: x"])
def test_fields_that_mean_nothing_are_ignored(line: bytes) -> None:
    found = list(Decoder("1").feed(line + b"\ndata: x\n\n"))
    assert found == [ServerSentEvent("message", "x", "1")]
