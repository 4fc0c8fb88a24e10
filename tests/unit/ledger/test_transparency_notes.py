"""Signed notes and checkpoints: what opens, and that nothing else does."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from engine.kernel.errors import InvalidInput
from engine.kernel.secret import Secret
from engine.ledger.transparency.merkle import EMPTY
from engine.ledger.transparency.notes import (
    Checkpoint,
    Note,
    Signer,
    Verifier,
    encoded,
    opened,
    seed_of,
    signed,
)

ORIGIN = "webnova-x/acme"
SIGNER = Signer(ORIGIN, b"\x01" * 32)
NEXT = Signer(ORIGIN, b"\x02" * 32)
WITNESS = Signer("witness.example", b"\x03" * 32)
POINT = Checkpoint(ORIGIN, 42, EMPTY)
NOTE = signed(POINT.text(), [SIGNER])


def test_the_form_is_that_of_the_specification() -> None:
    """The published example of the Go project: a note about nothing, by PeterNeumann."""
    vkey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    text = (
        "If you think cryptography is the answer to your problem,\n"
        "then you don't know what your problem is.\n"
    )
    line = (
        "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfq"
        "dngotpRZb6KE6RyyBwJnAM=\n"
    )
    known = [Verifier.parse(vkey)]
    assert known[0].vkey == vkey
    assert Note.parse(f"{text}\n{line}").signers(known) == known
    with pytest.raises(InvalidInput, match="wrong"):
        Note.parse(f"{text.replace('you', 'me')}\n{line}").signers(known)


def test_a_checkpoint_reads_origin_size_root() -> None:
    text, _, line = NOTE.partition("\n\n")
    assert text == f"{ORIGIN}\n42\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
    assert line.startswith(f"— {ORIGIN} ") and line.endswith("\n")
    assert opened(NOTE, [SIGNER.verifier]) == (POINT, [SIGNER.verifier])
    extended = Checkpoint.parse(POINT.text() + "an extension\n")
    assert extended == POINT


def test_several_keys_sign_while_one_is_replaced() -> None:
    note = signed(POINT.text(), [SIGNER, NEXT, WITNESS])
    for known in ([SIGNER], [NEXT], [SIGNER, NEXT], [WITNESS, NEXT]):
        _, signers = opened(note, [each.verifier for each in known])
        assert signers == [each.verifier for each in known if each is not WITNESS]
    with pytest.raises(InvalidInput, match="No known key"):
        opened(note, [WITNESS.verifier])
    with pytest.raises(InvalidInput, match="No known key"):
        opened(NOTE, [NEXT.verifier])


def test_a_key_of_another_log_does_not_sign_for_this_one() -> None:
    forged = signed(POINT.text(), [Signer("webnova-x/other", b"\x01" * 32)])
    with pytest.raises(InvalidInput, match="No known key"):
        opened(forged, [Signer("webnova-x/other", b"\x01" * 32).verifier])


@given(st.integers(0, len(NOTE.encode()) * 8 - 1))
def test_every_changed_bit_is_refused(bit: int) -> None:
    changed = bytearray(NOTE.encode())
    changed[bit // 8] ^= 1 << bit % 8
    try:
        text = changed.decode()
    except UnicodeDecodeError:
        return
    with pytest.raises(InvalidInput):
        opened(text, [SIGNER.verifier])


@given(st.text() | st.text("—\n abc+/=01", max_size=60))
def test_what_is_no_note_is_refused_as_such(text: str) -> None:
    for read in (Note.parse, Checkpoint.parse, Verifier.parse):
        try:
            read(text)
        except InvalidInput:
            continue


@pytest.mark.parametrize(
    "text",
    [
        "",
        "o\n1\n",
        f"o\n01\n{encoded(EMPTY)}\n",
        f"o\n-1\n{encoded(EMPTY)}\n",
        f"o\n1\n{encoded(EMPTY)}",
        f"\n1\n{encoded(EMPTY)}\n",
        f"o\n1\n{encoded(EMPTY[:-1])}\n",
        f"o\n1\n{encoded(EMPTY)[:-1]}\n",
        f"o\n99999999999999999999\n{encoded(EMPTY)}\n",
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        Checkpoint.parse(text)


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "name",
        SIGNER.verifier.vkey.replace("webnova", "webnovb"),
        SIGNER.verifier.vkey[:-4],
        f"x+00000000+{encoded(bytes([2]) + bytes(32))}",
    ],
)
def test_a_damaged_key_is_refused(vkey: str) -> None:
    with pytest.raises(InvalidInput):
        Verifier.parse(vkey)


def test_the_key_comes_from_the_kept_secret() -> None:
    kept = Secret("AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE")
    assert seed_of(kept) == b"\x01" * 32
    public = Ed25519PrivateKey.from_private_bytes(seed_of(kept)).public_key().public_bytes_raw()
    assert SIGNER.verifier.public_key == public
    for broken in ("", "AQEB", "not base64!"):
        with pytest.raises(InvalidInput, match="32 bytes"):
            seed_of(Secret(broken))
