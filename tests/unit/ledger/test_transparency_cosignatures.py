"""Cosignatures and the settings that name witnesses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.kernel.errors import InvalidInput
from engine.kernel.secret import Secret
from engine.ledger.transparency.notes import Note, Signer, Verifier, signed
from engine.ledger.transparency.publishing.cosignatures import (
    Cosigner,
    WitnessKey,
    cosignature_line,
    cosignature_lines,
    cosigned,
)
from engine.ledger.transparency.publishing.witnesses import configured
from engine.ledger.transparency.publishing.witnessing import NoRequest, read_request

LOG = Signer("log.example/t", b"\x01" * 32)
WITNESS, OTHER = (Cosigner(f"w.example/{n}", bytes([n]) * 32) for n in (2, 3))
TEXT = "log.example/t\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
NOTE = signed(TEXT, [LOG])
AT = datetime(2026, 3, 1, 12, 30, 59, tzinfo=UTC)
KEY = Secret("AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE")

seconds = st.integers(0, 253_402_300_799)


@given(at=seconds)
def test_who_cosigned_and_when_is_read_back(at: int) -> None:
    time = datetime.fromtimestamp(at, UTC)
    note = NOTE + OTHER.line(TEXT, time) + WITNESS.line(TEXT, time)
    found = cosigned(note, [WITNESS.key, OTHER.key])
    assert [(each.witness, each.at) for each in found] == [
        ("w.example/2", time),
        ("w.example/3", time),
    ]
    assert cosigned(NOTE, [WITNESS.key]) == []
    assert Note.parse(note).signers([LOG.verifier]) == [LOG.verifier]


@given(at=seconds, bit=st.integers(0, 72 * 8 - 1))
def test_a_changed_bit_of_time_or_signature_is_noticed(at: int, bit: int) -> None:
    line = WITNESS.line(TEXT, datetime.fromtimestamp(at, UTC))
    (_, _, signature) = Note.parse(NOTE + line).signatures[1]
    changed = bytearray(signature)
    changed[bit // 8] ^= 1 << bit % 8
    assert WITNESS.key.time_of(TEXT, signature) is not None
    assert WITNESS.key.time_of(TEXT, bytes(changed)) is None
    with pytest.raises(InvalidInput, match="cosignature"):
        cosigned(NOTE + cosignature_line(WITNESS.key, bytes(changed)), [WITNESS.key])


def test_a_cosignature_is_of_one_text_and_one_key() -> None:
    (_, _, signature) = Note.parse(NOTE + WITNESS.line(TEXT, AT)).signatures[1]
    assert WITNESS.key.time_of(TEXT.replace("\n0\n", "\n1\n"), signature) is None
    assert OTHER.key.time_of(TEXT, signature) is None
    assert WITNESS.key.time_of(TEXT, signature[:-1]) is None
    relabelled = NOTE + cosignature_line(OTHER.key, signature)
    with pytest.raises(InvalidInput):
        cosigned(relabelled, [OTHER.key])


def test_the_latest_of_several_times_counts_and_only_its_lines_are_kept() -> None:
    later = AT + timedelta(hours=1)
    note = NOTE + "".join(WITNESS.line(TEXT, at) for at in (later, AT)) + OTHER.line(TEXT, AT)
    assert [each.at for each in cosigned(note, [WITNESS.key])] == [later]
    assert cosignature_lines(note, WITNESS.key) == WITNESS.line(TEXT, later) + WITNESS.line(
        TEXT, AT
    )


def test_a_plain_signature_is_no_cosignature_and_the_other_way_round() -> None:
    """Equal seeds and names: only what is signed, and the key's kind, tell the two apart."""
    as_log = Signer(WITNESS.key.name, b"\x02" * 32)
    assert as_log.verifier.public_key == WITNESS.key.public_key
    assert as_log.verifier.id != WITNESS.key.id
    (_, _, signature) = Note.parse(signed(TEXT, [as_log])).signatures[0]
    assert WITNESS.key.time_of(TEXT, bytes(8) + signature) is None
    for parse, vkey in ((WitnessKey.parse, LOG.verifier.vkey), (Verifier.parse, WITNESS.key.vkey)):
        with pytest.raises(InvalidInput, match="another kind"):
            parse(vkey)
    assert WitnessKey.parse(WITNESS.key.vkey) == WITNESS.key


def test_each_name_has_a_key_of_its_own_that_stays_the_same() -> None:
    keys = [Cosigner.derived(f"webnova-x/{name}/witness", KEY).key for name in ("a", "b", "a")]
    assert keys[0] == keys[2] and keys[0].public_key != keys[1].public_key
    assert Signer("webnova-x/a", b"\x01" * 32).verifier.public_key != keys[0].public_key
    assert keys[0].vkey == Cosigner.derived("webnova-x/a/witness", KEY).key.vkey


def test_witnesses_are_read_from_the_settings() -> None:
    setting = f"{WITNESS.key.vkey} https://w.example/api/, {OTHER.key.vkey} http://127.0.0.1:1/x,"
    token = {f"WEBNOVA_WITNESS_TOKEN_{OTHER.key.id.hex().upper()}": "hidden"}
    found = configured(setting, token)
    assert [each.key for each in found] == [WITNESS.key, OTHER.key]
    assert configured("", {}) == [] == configured(" , ", {})


@pytest.mark.parametrize(
    "setting",
    [
        "https://w.example",
        f"{WITNESS.key.vkey}",
        f"{LOG.verifier.vkey} https://w.example",
        f"{WITNESS.key.vkey} http://w.example",
        f"{WITNESS.key.vkey} ftp://w.example",
        f"{WITNESS.key.vkey} https://",
        f"{WITNESS.key.vkey} https://me:hunter2@w.example",
        f"{WITNESS.key.vkey} https://w.example?token=hunter2",
        f"{WITNESS.key.vkey} https://w.example, {WITNESS.key.vkey} https://v.example",
    ],
)
def test_a_setting_that_is_wrong_is_refused_without_repeating_it(setting: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        configured(setting, {})
    assert "hunter2" not in str(refused.value)


def test_a_request_is_read_as_the_standard_writes_it() -> None:
    command = read_request(f"old 7\nAAAA\nBBBB\n\n{NOTE}".encode())
    assert (command.old, command.proof, command.note) == (7, ["AAAA", "BBBB"], NOTE)
    assert read_request(f"old 0\n\n{NOTE}".encode()).proof == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"old 0",
        b"old 0\n",
        b"old -1\n\nx",
        b"old 07\n\nx",
        b"old 1 \n\nx",
        b"old \xd9\xa1\n\nx",
        b"OLD 1\n\nx",
        b"\xff\n\nx",
        b"old 1\n" + b"AAAA\n" * 64 + b"\nx",
    ],
)
def test_what_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(NoRequest):
        read_request(body)


@given(body=st.binary(max_size=200))
def test_any_bytes_are_a_request_or_refused(body: bytes) -> None:
    try:
        command = read_request(body)
    except NoRequest:
        return
    assert command.old >= 0 and body.decode().endswith(command.note)
