"""Checkpoints leave the database: who signs them, and where they are kept from then on.

Whoever rules the database can rewrite events and log together. What can't be rewritten is a
checkpoint that lies elsewhere. So a checkpoint is signed only after the log has proved that it
continues the one published before, and a publisher checks that proof once more by itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from engine.kernel.errors import Conflict, InvalidInput, VersionConflict
from engine.kernel.plugins import Registry
from engine.kernel.secret import Secret
from engine.ledger.transparency.merkle import verify_consistency
from engine.ledger.transparency.notes import Checkpoint, Note, Signer, Verifier, seed_of, signed
from engine.ledger.transparency.proofs import LogContradiction

ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Succession:
    """The note that a new one is to succeed, and the consistency proof between their trees.

    `after` is None for the first note of a log.
    """

    after: str | None
    proof: Sequence[bytes] = ()


@runtime_checkable
class CheckpointPublisher(Protocol):
    """A place outside the database that keeps the signed checkpoints of every tenant.

    Every implementation passes `tests/contracts/test_checkpoint_publishers.py`.
    """

    async def latest(self, tenant: str) -> str | None:
        """The signed note published last, or None when there is none."""
        ...

    async def publish(self, tenant: str, note: str, succession: Succession) -> None:
        """Keep the note for ever and make it the latest, durably, or change nothing.

        A note of the same size and root replaces the latest one's signatures. Publishing again
        what is the latest changes nothing. Raises `VersionConflict` when the latest note is
        another than the one to be succeeded, `LogContradiction` when the checkpoint does not
        continue it, and `InvalidInput` when the note is no checkpoint.
        """
        ...

    async def history(self, tenant: str) -> Sequence[str]:
        """Every note published, the smallest tree first."""
        ...


@runtime_checkable
class PublisherKind(Protocol):
    """How publishers of one kind are made: what registers under `webnova.checkpoint_publishers`."""

    def open(self, location: str) -> CheckpointPublisher:
        """The publisher at a place that only this kind understands, such as a directory."""
        ...


def publisher_kinds() -> Registry[PublisherKind]:
    # Registries compare with `isinstance`, which a Protocol class that is runtime-checkable allows.
    return Registry("checkpoint_publishers", PublisherKind)  # type: ignore[type-abstract]


def open_publisher(address: str) -> CheckpointPublisher:
    """The publisher that `kind:location` names, such as `file:/var/lib/webnova/audit`.

    Raises `InvalidInput` for an address without a kind, `NotFound` for a kind there is not.
    """
    kind, colon, location = address.partition(":")
    if not colon or not location:
        raise InvalidInput(
            "The address of a checkpoint publisher reads kind:location.",
            mend="For a directory write file:/path/of/the/directory.",
        )
    return publisher_kinds().get(kind).open(location)


def succeeds(latest: str | None, note: str, succession: Succession) -> bool:
    """Whether a publisher must take the note over; False when it is the latest already.

    Raises as `CheckpointPublisher.publish` does.
    """
    new = Checkpoint.of(note)
    if latest == note:
        return False
    if latest != succession.after:
        raise VersionConflict("Another checkpoint was published in the meantime.")
    if latest is None:
        return True
    old = Checkpoint.of(latest)
    if old.origin != new.origin:
        raise LogContradiction(
            f"The checkpoint is of the log {new.origin!r}, the one before of {old.origin!r}.",
            mend="Publish each log in a place of its own.",
        )
    if not verify_consistency((old.size, old.root), (new.size, new.root), succession.proof):
        raise _contradiction(old, new.size)
    return True


def _contradiction(old: Checkpoint, size: int) -> LogContradiction:
    return LogContradiction(
        f"The log of {size} events does not continue its published checkpoint of {old.size}.",
        mend="Its history was altered. Keep the database as it is, and compare an export with a "
        "checkpoint kept outside: `webnova audit verify`.",
        published_size=old.size,
        size=size,
    )


@dataclass(frozen=True, slots=True)
class Head:
    """The size and the root of a tenant's log as the database has it."""

    size: int
    root: bytes


class Logs(Protocol):
    """What the notary asks of the store; each call sees one snapshot."""

    async def head(self, tenant: str) -> Head: ...

    async def consistency(self, tenant: str, old: int, new: int) -> Sequence[bytes]:
        """The proof between two sizes, neither larger than the log. `LogContradiction` when the
        log lacks what it needs."""
        ...


Prove = Callable[[int], Awaitable[Sequence[bytes]]]
"""From an older size to the consistency proof from there to the checkpoint in question."""


class WitnessAhead(Conflict):
    """The witness has cosigned a larger checkpoint of the log already. `size` is that one's."""

    code, title = "witness_ahead", "The witness has seen a longer log"


class Witness(Protocol):
    """Somebody else, who cosigns a checkpoint only if it continues all that they have seen."""

    def has_cosigned(self, note: str) -> bool: ...

    async def cosign(self, note: str, since: int, prove: Prove) -> str:
        """Lines to add to the note: the witness's cosignature, verified.

        `since` is the size up to which it has probably seen the log. Raises `LogContradiction`
        when what it has seen is not the beginning of this log, `WitnessAhead`, and `Unavailable`
        when it gives no cosignature for another reason.
        """
        ...


class Notary:
    """Signs and publishes the checkpoints of all tenants of one installation.

    Every one of the `witnesses` must cosign a checkpoint before it is published.

    `name` is the installation's part of the logs' names, the same for ever. `keys` are the Ed25519
    keys that sign (see `seed_of`), the first one being the key to hand out; while a key is being
    replaced there are two. Raises `InvalidInput` for a key that is none.
    """

    def __init__(
        self,
        name: str,
        keys: Sequence[Secret],
        publisher: CheckpointPublisher,
        logs: Logs,
        witnesses: Sequence[Witness] = (),
    ) -> None:
        self._name = name
        self._keys = list(keys)
        for key in self._keys:
            seed_of(key)
        self._publisher = publisher
        self._logs = logs
        self._witnesses = witnesses

    def origin(self, tenant: str) -> str:
        """The name of the tenant's log, which is also the name of its keys."""
        return f"{self._name}/{tenant}"

    def verifiers(self, tenant: str) -> list[Verifier]:
        return [signer.verifier for signer in self._signers(tenant)]

    def _signers(self, tenant: str) -> list[Signer]:
        return [Signer(self.origin(tenant), seed_of(key)) for key in self._keys]

    def attest(self, tenant: str, statement: str) -> str:
        """A note of `statement` signed by the tenant's keys.

        Raises `ValueError` for one that could be read as a checkpoint: those are only signed when
        the log has proved them.
        """
        with suppress(InvalidInput):
            Checkpoint.parse(statement)
            raise ValueError("a checkpoint is not attested but drawn from its log")
        return signed(statement, self._signers(tenant))

    async def latest(self, tenant: str) -> str | None:
        """The note published last; the database is not asked."""
        return await self._publisher.latest(tenant)

    async def checkpoint(self, tenant: str) -> str:
        """The signed checkpoint of the log as it now is, published before it is given out.

        Raises `LogContradiction`, and publishes nothing, when the log does not continue the
        checkpoint that was published last, or what a witness has seen of it; `Unavailable` when a
        witness or the publisher is not there.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await self._once(tenant)
            except VersionConflict:
                # Another notary has published meanwhile; what it published is looked at anew.
                if attempt == ATTEMPTS:
                    raise
        raise AssertionError("unreachable")

    async def _once(self, tenant: str) -> str:
        latest = await self._publisher.latest(tenant)
        # Read after the latest checkpoint, the head can't be an older one than that.
        head = await self._logs.head(tenant)
        proof: Sequence[bytes] = []
        if latest is not None:
            old = Checkpoint.of(latest)
            if old.size > head.size:
                raise _contradiction(old, head.size)
            proof = await self._logs.consistency(tenant, old.size, head.size)
            if not verify_consistency((old.size, old.root), (head.size, head.root), proof):
                raise _contradiction(old, head.size)
            known = self.verifiers(tenant)
            signers = Note.parse(latest).signers(known)
            if old.size == head.size and signers == known and self._witnessed(latest):
                return latest
        text = Checkpoint(self.origin(tenant), head.size, head.root).text()
        note = signed(text, self._signers(tenant))
        note += await self._cosignatures(tenant, note, latest)
        await self._publisher.publish(tenant, note, Succession(latest, proof))
        return note

    def _witnessed(self, note: str) -> bool:
        return all(witness.has_cosigned(note) for witness in self._witnesses)

    async def _cosignatures(self, tenant: str, note: str, latest: str | None) -> str:
        size = Checkpoint.of(note).size

        async def prove(old: int) -> Sequence[bytes]:
            return await self._logs.consistency(tenant, old, size)

        lines = ""
        for witness in self._witnesses:
            known = latest is not None and witness.has_cosigned(latest)
            since = Checkpoint.of(latest).size if latest is not None and known else 0
            try:
                lines += await witness.cosign(note, since, prove)
            except WitnessAhead as ahead:
                # Another notary has been there meanwhile, or what the witness has seen is gone.
                if (await self._logs.head(tenant)).size < ahead.fields["size"]:
                    raise _contradiction_of_witness(ahead, size) from None
                raise VersionConflict("The log has grown in the meantime.") from None
        return lines


def _contradiction_of_witness(ahead: WitnessAhead, size: int) -> LogContradiction:
    return LogContradiction(
        ahead.detail,
        mend="Events were lost or taken away. Keep the database as it is, and compare an export "
        "with the checkpoint that the witness has.",
        published_size=ahead.fields["size"],
        size=size,
    )
