"""Keys of subjects: `engine.ledger.tenancy.subjects.Subjects` in Postgres."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.kernel.errors import SubjectErased
from engine.kernel.personal import ERASED, Sealed
from engine.ledger.tenancy.subjects import KeyState, Vault

# Whoever seals holds the key's row until the commit, so that erasing waits for what is under way.
HOLD = text(
    "SELECT key, erased_at FROM subject_keys WHERE tenant_id = :t AND subject = :s FOR SHARE"
)
MAKE = text(
    "INSERT INTO subject_keys (tenant_id, subject, key) VALUES (:t, :s, :k)"
    " ON CONFLICT (tenant_id, subject) DO NOTHING"
)
KEYS = text(
    "SELECT subject, key FROM subject_keys"
    " WHERE tenant_id = :t AND subject = ANY(CAST(:s AS text[])) AND key IS NOT NULL"
)
STATE = text(
    "SELECT created_at, key IS NOT NULL AS held, erased_at FROM subject_keys"
    " WHERE tenant_id = :t AND subject = :s"
)
ERASE = text(
    "UPDATE subject_keys SET key = NULL, erased_at = :at"
    " WHERE tenant_id = :t AND subject = :s AND erased_at IS NULL"
)


class PostgresSubjects:
    """On one open transaction of one tenant. `vault` is asked only when a value is at hand."""

    def __init__(
        self, connection: AsyncConnection, tenant: str, vault: Callable[[], Vault]
    ) -> None:
        self._connection = connection
        self._tenant = tenant
        self._vault = vault

    async def seal(self, subject: str, place: str, text: str) -> Sealed:
        vault, key = self._vault(), {"t": self._tenant, "s": subject}
        row = (await self._connection.execute(HOLD, key)).first()
        if row is None:
            made = vault.new_key(self._tenant, subject)
            await self._connection.execute(MAKE, {**key, "k": made})
            row = (await self._connection.execute(HOLD, key)).one()
        if row.key is None:
            raise SubjectErased(
                f"The personal data of {subject!r} was erased; nothing new of it is kept."
                if row.erased_at is not None
                else f"The key of {subject!r} was not brought along when the tenant was imported.",
                mend="Give the person a new subject if they have come back by their own will.",
                subject=subject,
            )
        return vault.seal(bytes(row.key), self._tenant, (subject, place), text)

    async def open(self, values: Sequence[Sealed]) -> Sequence[str]:
        subjects = sorted({value.subject for value in values})
        rows = await self._connection.execute(KEYS, {"t": self._tenant, "s": subjects})
        keys = {row.subject: bytes(row.key) for row in rows}
        vault = self._vault()
        return [
            vault.open(keys[value.subject], self._tenant, value)
            if value.subject in keys
            else ERASED
            for value in values
        ]

    async def state(self, subject: str) -> KeyState | None:
        row = (await self._connection.execute(STATE, {"t": self._tenant, "s": subject})).first()
        return None if row is None else KeyState(row.created_at, row.held, row.erased_at)

    async def erase(self, subject: str, at: datetime) -> None:
        await self._connection.execute(ERASE, {"t": self._tenant, "s": subject, "at": at})

    def recipient(self) -> str:
        return self._vault().recipient
