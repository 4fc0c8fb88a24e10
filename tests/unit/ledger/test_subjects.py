"""What seals personal data: nothing opens without the right key, place and home."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.kernel.errors import InvalidInput, Unavailable
from engine.kernel.secret import Secret
from engine.ledger.tenancy.subjects import Vault, key_context, sending

HERE, THERE = Vault(Secret("here")), Vault(Secret("there"))
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


@settings(deadline=None)
@given(TEXT, st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_what_is_sealed_opens_again_and_never_looks_the_same(text: str, place: str) -> None:
    kept = HERE.new_key("acme", "user:1")
    one, two = (HERE.seal(kept, "acme", ("user:1", place), text) for _ in range(2))
    assert one != two
    assert HERE.open(kept, "acme", one) == HERE.open(kept, "acme", two) == text
    moved = one.model_copy(update={"place": place + "!"})
    for tenant, value in (("acme", moved), ("other", one)):
        with pytest.raises(Unavailable):
            HERE.open(kept, tenant, value)
    with pytest.raises(Unavailable):
        THERE.open(kept, "acme", one)


def test_a_key_on_its_way_opens_for_its_recipient_alone() -> None:
    ephemeral, cipher = sending(THERE.recipient)
    packed = cipher.seal(b"k" * 32, key_context("acme", "user:1"))
    received = THERE.received(ephemeral)
    assert received.open(packed, key_context("acme", "user:1")) == b"k" * 32
    with pytest.raises(Unavailable):
        received.open(packed, key_context("acme", "user:2"))
    with pytest.raises(Unavailable):
        HERE.received(ephemeral).open(packed, key_context("acme", "user:1"))
    other, _ = sending(THERE.recipient)
    assert other != ephemeral
    with pytest.raises(Unavailable):
        THERE.received(other).open(packed, key_context("acme", "user:1"))


@pytest.mark.parametrize("key", ["", "short", "A" * 43, "!" * 43, HERE.recipient + "A"])
def test_what_is_no_recipients_key_is_told(key: str) -> None:
    with pytest.raises(InvalidInput, match="recipient"):
        sending(key)


def test_the_recipients_key_is_the_homes_own_and_stays() -> None:
    assert Vault(Secret("here")).recipient == HERE.recipient != THERE.recipient
