"""Cosignatures: what a witness says of another's checkpoint (c2sp.org/tlog-cosignature, version 1).

A cosignature is a line of the note, beside the log's own. It says that at a time, in seconds of the
Unix epoch, the checkpoint was the largest of its log that the witness had seen, and that it
continues all that it had seen before.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from engine.kernel.contracts import View
from engine.kernel.errors import InvalidInput
from engine.kernel.secret import Secret
from engine.ledger.transparency.notes import (
    Note,
    encoded,
    key_id,
    read_key,
    seed_of,
    written_key,
)

COSIGNATURE = b"\x04"
"""The signature type in front of a witness's public key."""

TIME_SIZE, SIGNATURE_SIZE, SEED_SIZE = 8, 64, 32
LATEST = 253_402_300_799
"""The last second of the year 9999; no later time is one."""


class Cosigned(View):
    """Who has cosigned a checkpoint, and when; the time is the witness's own."""

    witness: str
    vkey: str
    at: datetime


@dataclass(frozen=True, slots=True)
class WitnessKey:
    """The public key of a witness under its name."""

    name: str
    public_key: bytes

    @classmethod
    def parse(cls, vkey: str) -> Self:
        """From `name+id+key`; raises as `read_key`."""
        return cls(*read_key(vkey, COSIGNATURE))

    @property
    def id(self) -> bytes:
        return key_id(self.name, self.public_key, COSIGNATURE)

    @property
    def vkey(self) -> str:
        return written_key(self.name, self.public_key, COSIGNATURE)

    def time_of(self, text: str, signature: bytes) -> datetime | None:
        """When the witness signed the text, or None when it did not."""
        if len(signature) != TIME_SIZE + SIGNATURE_SIZE:
            return None
        at = int.from_bytes(signature[:TIME_SIZE], "big")
        if at > LATEST:
            return None
        key = Ed25519PublicKey.from_public_bytes(self.public_key)
        try:
            key.verify(signature[TIME_SIZE:], _message(text, at))
        except InvalidSignature:
            return None
        return datetime.fromtimestamp(at, UTC)


class Cosigner:
    """A witness's private key under its name."""

    def __init__(self, name: str, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.key = WitnessKey(name, self._key.public_key().public_bytes_raw())

    @classmethod
    def derived(cls, name: str, secret: Secret) -> Self:
        """The cosigner of that name whose key follows from a signing key of the installation.

        Each name has a key of its own (HKDF, RFC 5869): a cosignature says nothing of who made it
        but by its key, so tenants that are witnesses must not share one, nor witnesses with logs.
        """
        kdf = HKDF(SHA256(), SEED_SIZE, None, b"webnova witness\n" + name.encode())
        return cls(name, kdf.derive(seed_of(secret)))

    def line(self, text: str, at: datetime) -> str:
        """The signature line for the text of a checkpoint."""
        seconds = int(at.timestamp())
        signature = self._key.sign(_message(text, seconds))
        return cosignature_line(self.key, seconds.to_bytes(TIME_SIZE, "big") + signature)


def cosignature_line(key: WitnessKey, signature: bytes) -> str:
    return f"— {key.name} {encoded(key.id + signature)}\n"


def cosignature_lines(note: str, key: WitnessKey) -> str:
    """The lines of the note that are that witness's; nothing is verified."""
    return "".join(
        cosignature_line(key, signature)
        for name, id, signature in Note.parse(note).signatures
        if name == key.name and hmac.compare_digest(id, key.id)
    )


def cosigned(note: str, known: Sequence[WitnessKey]) -> list[Cosigned]:
    """Which of the known witnesses have cosigned the note, in their order, and when last.

    Lines of others are passed over. Raises `InvalidInput` when a line claims to be a known
    witness's and is not.
    """
    parsed, times = Note.parse(note), dict[WitnessKey, datetime]()
    for name, id, signature in parsed.signatures:
        for key in known:
            if name != key.name or not hmac.compare_digest(id, key.id):
                continue
            at = key.time_of(parsed.text, signature)
            if at is None:
                raise InvalidInput(
                    f"The note's cosignature by {name!r} is wrong.",
                    mend="The note was changed or damaged; get it again from its source.",
                )
            times[key] = max(at, times.get(key, at))
    return [
        Cosigned(witness=key.name, vkey=key.vkey, at=times[key]) for key in known if key in times
    ]


def _message(text: str, at: int) -> bytes:
    return f"cosignature/v1\ntime {at}\n{text}".encode()
