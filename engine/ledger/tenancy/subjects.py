"""Keys of the people that data is about: one for each subject of a tenant, and how they seal.

Values are sealed by AES-256-GCM (NIST SP 800-38D) with a nonce of 96 random bits, under the key of
their subject. That key is kept in the database, itself sealed by a key that only the installation's
home holds; so neither a copy of the database nor one of the home opens anything alone. Destroying
a subject's key erases everything that was sealed under it, wherever copies of it lie.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from engine.kernel.contracts import canonical_json
from engine.kernel.errors import InvalidInput, Unavailable
from engine.kernel.personal import Sealed
from engine.kernel.secret import Secret

KEY_SIZE = 32
NONCE_SIZE = 12


@dataclass(frozen=True, slots=True)
class KeyState:
    """What is known of a subject: `held` is false once the key is gone, or was never brought."""

    since: datetime
    held: bool
    erased_at: datetime | None


class Subjects(Protocol):
    """The keys of one tenant's subjects, inside the caller's transaction."""

    async def seal(self, subject: str, place: str, text: str) -> Sealed:
        """Seal a value; the subject's first one makes its key.

        Raises `SubjectErased` once the subject was erased.
        """
        ...

    async def open(self, values: Sequence[Sealed]) -> Sequence[str]: ...

    async def state(self, subject: str) -> KeyState | None: ...

    async def erase(self, subject: str, at: datetime) -> None:
        """Destroy the key for ever; waits for whoever is sealing with it."""
        ...

    def recipient(self) -> str:
        """The installation's public key, for which another one may seal subjects' keys."""
        ...


class Cipher:
    """AES-256-GCM under one key. What is sealed opens only in the same context."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, content: bytes, context: bytes) -> bytes:
        nonce = os.urandom(NONCE_SIZE)
        return nonce + self._cipher.encrypt(nonce, content, context)

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """Raises `Unavailable` when key, context and content do not belong together."""
        try:
            return self._cipher.decrypt(sealed[:NONCE_SIZE], sealed[NONCE_SIZE:], context)
        except (InvalidTag, ValueError) as error:
            raise Unavailable(
                "Personal data does not open: it was altered, or the home's key is another one.",
                mend="Restore `personal-data-key` in the home's secrets, or the altered rows.",
            ) from error


class Vault:
    """What the home's key does: it seals the subjects' keys, and takes them from elsewhere."""

    def __init__(self, master: Secret) -> None:
        secret = master.reveal().encode()
        self._cipher = Cipher(_derived(secret, b"webnova subject keys"))
        seed = _derived(secret, b"webnova recipient of subject keys")
        self._private = X25519PrivateKey.from_private_bytes(seed)

    def new_key(self, tenant: str, subject: str) -> bytes:
        """A fresh key, sealed."""
        return self.keep(tenant, subject, os.urandom(KEY_SIZE))

    def keep(self, tenant: str, subject: str, key: bytes) -> bytes:
        return self._cipher.seal(key, _context(tenant, subject))

    def take(self, tenant: str, subject: str, kept: bytes) -> bytes:
        return self._cipher.open(kept, _context(tenant, subject))

    def seal(self, kept: bytes, tenant: str, value: tuple[str, str], text: str) -> Sealed:
        """`value` is subject and place, `kept` the subject's sealed key."""
        subject, place = value
        cipher = Cipher(self.take(tenant, subject, kept))
        content = cipher.seal(text.encode(), _context(tenant, subject, place))
        return Sealed(
            subject=subject, place=place, sealed=base64.b64encode(content).decode("ascii")
        )

    def open(self, kept: bytes, tenant: str, value: Sealed) -> str:
        cipher = Cipher(self.take(tenant, value.subject, kept))
        context = _context(tenant, value.subject, value.place)
        return cipher.open(base64.b64decode(value.sealed), context).decode()

    @property
    def recipient(self) -> str:
        """The public key (X25519, base64url) that others seal subjects' keys for."""
        raw = self._private.public_key().public_bytes_raw()
        return base64.urlsafe_b64encode(raw).decode("ascii").rstrip("=")

    def received(self, ephemeral: str) -> Cipher:
        """What opens the keys that were sealed for this installation (see `sending`)."""
        return _agreed(self._private, _public(ephemeral), ephemeral, self.recipient)


def sending(recipient: str) -> tuple[str, Cipher]:
    """An ephemeral public key and what seals for the recipient: X25519 (RFC 7748), HKDF (RFC 5869).

    Raises `InvalidInput` for what is no recipient's key.
    """
    private = X25519PrivateKey.generate()
    raw = private.public_key().public_bytes_raw()
    ephemeral = base64.urlsafe_b64encode(raw).decode("ascii").rstrip("=")
    return ephemeral, _agreed(private, _public(recipient), ephemeral, recipient)


def key_context(tenant: str, subject: str) -> bytes:
    """The context in which a subject's key is sealed for a recipient."""
    return _context(tenant, subject, "export")


def _agreed(
    private: X25519PrivateKey, public: X25519PublicKey, ephemeral: str, recipient: str
) -> Cipher:
    try:
        shared = private.exchange(public)
    except ValueError as error:
        raise _no_recipient() from error
    info = f"webnova tenant export\0{ephemeral}\0{recipient}"
    return Cipher(_derived(shared, info.encode()))


def _public(text: str) -> X25519PublicKey:
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        return X25519PublicKey.from_public_bytes(raw)
    except ValueError as error:
        raise _no_recipient() from error


def _no_recipient() -> InvalidInput:
    return InvalidInput(
        "That is not the key of a recipient.",
        mend="Ask the other installation: `webnova tenant recipient` shows it.",
    )


def _derived(secret: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=KEY_SIZE, salt=None, info=info).derive(secret)


def _context(*parts: str) -> bytes:
    return canonical_json(parts).encode()
