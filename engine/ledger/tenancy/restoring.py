"""Writing a tenant's file into another installation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol


class Restorer(Protocol):
    """Inside a transaction of the root tenant, which commits or undoes everything."""

    async def restore(self, tenant: str, lines: Iterable[bytes]) -> None:
        """Write a file that `archive.inspect` has found whole and genuine into the empty tenant.

        Event ids, versions, instants and metadata stay, and so does the order in which readers see
        the events: their log has the same leaves. Documents are folded anew and must come out as
        the file says. Raises `Conflict` when the tenant has rows already, and `InvalidInput` when
        the file does not fit this installation; the transaction must then not commit.
        """
        ...
