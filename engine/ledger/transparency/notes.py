"""Signed notes and checkpoints, as C2SP writes them (c2sp.org/signed-note, tlog-checkpoint).

A note is text, an empty line, and a line for each signature. Keys are Ed25519 (RFC 8032). A note
may carry several signatures, so that a key can be replaced while readers still know the old one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from engine.kernel.errors import InvalidInput
from engine.kernel.secret import Secret
from engine.ledger.transparency.merkle import HASH_SIZE

ED25519 = b"\x01"
"""The signature type in front of a public key."""

MOST_SIGNATURES = 100
LARGEST_NOTE = 1_000_000
"""Bytes; what is longer is no note."""

_SIGNATURE = re.compile(r"— (?P<name>[^\s+]+) (?P<signature>[A-Za-z0-9+/]+={0,2})")
_KEY = re.compile(r"(?P<name>[^\s+]+)\+(?P<id>[0-9a-f]{8})\+(?P<key>[A-Za-z0-9+/]+={0,2})")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


def encoded(data: bytes) -> str:
    """Standard base64 with padding."""
    return base64.b64encode(data).decode("ascii")


def decoded(text: str, what: str) -> bytes:
    """The bytes of canonical base64; `InvalidInput` that names `what` otherwise."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if encoded(data) != text:
        raise InvalidInput(f"The {what} is not base64.", mend="Copy it whole.")
    return data


def decoded_hash(text: str, what: str) -> bytes:
    """As `decoded`, for a SHA-256 value."""
    data = decoded(text, what)
    if len(data) != HASH_SIZE:
        raise InvalidInput(f"The {what} is not {HASH_SIZE} bytes long.", mend="Copy it whole.")
    return data


def key_id(name: str, public_key: bytes, kind: bytes = ED25519) -> bytes:
    """Four bytes that stand for a key in signatures; they identify and prove nothing."""
    return hashlib.sha256(name.encode() + b"\n" + kind + public_key).digest()[:4]


def written_key(name: str, public_key: bytes, kind: bytes = ED25519) -> str:
    """A public key as `name+id+key`, its form for people and files."""
    return f"{name}+{key_id(name, public_key, kind).hex()}+{encoded(kind + public_key)}"


def read_key(vkey: str, kind: bytes = ED25519) -> tuple[str, bytes]:
    """Name and public key out of `name+id+key`. `InvalidInput` when that is no key of the kind or
    was damaged."""
    match = _KEY.fullmatch(vkey.strip())
    if match is None:
        raise InvalidInput(
            "That is not a verifier key.", mend="It reads name+id+key; copy it whole."
        )
    key = decoded(match["key"], "verifier key")
    if key[:1] != kind or len(key) != 1 + HASH_SIZE:
        others = "of a witness" if kind == ED25519 else "of a log"
        raise InvalidInput(f"The verifier key is of another kind: is it that {others}?")
    if key_id(match["name"], key[1:], kind).hex() != match["id"]:
        raise InvalidInput(
            "The verifier key does not fit its own id.", mend="Copy it whole from its owner."
        )
    return match["name"], key[1:]


def seed_of(secret: Secret) -> bytes:
    """The 32 bytes of a signing key kept as unpadded base64url."""
    text = secret.reveal()
    try:
        seed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        seed = b""
    if len(seed) != HASH_SIZE:
        raise InvalidInput(
            "A signing key is not 32 bytes in base64url.",
            mend="Restore the key from a backup; with a new one, tell its vkey to all readers.",
        )
    return seed


class Signer:
    """An Ed25519 key under the name that its signatures carry."""

    def __init__(self, name: str, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.verifier = Verifier(name, self._key.public_key().public_bytes_raw())

    def line(self, text: str) -> str:
        signature = self.verifier.id + self._key.sign(text.encode())
        return f"— {self.verifier.name} {encoded(signature)}\n"


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key under its name; `vkey` is its form for people and files."""

    name: str
    public_key: bytes

    @classmethod
    def parse(cls, vkey: str) -> Self:
        """From `name+id+key`; raises as `read_key`."""
        return cls(*read_key(vkey))

    @property
    def id(self) -> bytes:
        return key_id(self.name, self.public_key)

    @property
    def vkey(self) -> str:
        return written_key(self.name, self.public_key)

    def verifies(self, text: str, signature: bytes) -> bool:
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, text.encode())
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Note:
    """A note taken apart; nothing is verified yet. `signatures`: name, key id, signature."""

    text: str
    signatures: tuple[tuple[str, bytes, bytes], ...]

    @classmethod
    def parse(cls, note: str) -> Self:
        """Raises `InvalidInput` when that is no note."""
        text, separator, lines = note.rpartition("\n\n")
        if not separator or not lines.endswith("\n") or len(note.encode()) > LARGEST_NOTE:
            raise _no_note()
        if any(letter < " " and letter != "\n" for letter in note):
            raise _no_note()
        signatures = []
        for line in lines.removesuffix("\n").split("\n"):
            match = _SIGNATURE.fullmatch(line)
            raw = b"" if match is None else decoded(match["signature"], "signature")
            if match is None or len(raw) < 5:
                raise _no_note()
            signatures.append((match["name"], raw[:4], raw[4:]))
        if len(signatures) > MOST_SIGNATURES:
            raise _no_note()
        return cls(text + "\n", tuple(signatures))

    def signers(self, known: Sequence[Verifier]) -> list[Verifier]:
        """Which of the known keys have signed. Signatures of others are passed over.

        Raises `InvalidInput` when a signature claims to be of a known key and is not.
        """
        found = []
        for name, id, signature in self.signatures:
            for verifier in known:
                if name != verifier.name or not hmac.compare_digest(id, verifier.id):
                    continue
                if not verifier.verifies(self.text, signature):
                    raise InvalidInput(
                        f"The note's signature by {name!r} is wrong.",
                        mend="The note was changed or damaged; get it again from its source.",
                    )
                found.append(verifier)
        return found


def _no_note() -> InvalidInput:
    return InvalidInput("That is not a signed note.", mend="Copy it whole, with its last line end.")


def signed(text: str, signers: Sequence[Signer]) -> str:
    """The note of `text`, which must end with a line end, with a signature of each signer."""
    if not text.endswith("\n") or not signers:
        raise ValueError("a note is whole lines and at least one signature")
    return f"{text}\n{''.join(signer.line(text) for signer in signers)}"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log commits itself to: its name, its size and the root of its tree."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{encoded(self.root)}\n"

    @classmethod
    def parse(cls, text: str) -> Self:
        """From a note's text; lines after the third are extensions and passed over.

        Raises `InvalidInput` when that is no checkpoint.
        """
        lines = text.split("\n")
        if len(lines) < 4 or lines[-1] or "" in lines[:-1] or not _SIZE.fullmatch(lines[1]):
            raise InvalidInput("That is not a checkpoint of a log.", mend="Copy it whole.")
        return cls(lines[0], int(lines[1]), decoded_hash(lines[2], "root hash"))

    @classmethod
    def of(cls, note: str) -> Self:
        """From a signed note whose signatures are of no concern here."""
        return cls.parse(Note.parse(note).text)


def opened(note: str, known: Sequence[Verifier]) -> tuple[Checkpoint, list[Verifier]]:
    """The checkpoint in a note that at least one of the known keys has signed, and which did.

    Raises `InvalidInput` when there is no such signature, or when the key is not that of the log
    that the checkpoint names.
    """
    parsed = Note.parse(note)
    checkpoint = Checkpoint.parse(parsed.text)
    signers = [each for each in parsed.signers(known) if each.name == checkpoint.origin]
    if not signers:
        raise InvalidInput(
            f"No known key of {checkpoint.origin!r} has signed the checkpoint.",
            mend="Give the vkey of that log, from a source that you trust.",
        )
    return checkpoint, signers
