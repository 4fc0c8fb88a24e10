"""What the API needs of the cluster, as contracts: it runs and is tested without one."""

from __future__ import annotations

from typing import Protocol


class Screening(Protocol):
    async def screen(self, description: str) -> str:
        """A name (slug) for the platform that a description asks for.

        Raises `NotUnderstood` when no platform can be derived from it, so that nothing is accepted
        that could only fail later.
        """
        ...


class Hosting(Protocol):
    async def logs(self, tenant: str, platform: str, lines: int) -> list[str]:
        """The newest `lines` lines that the platform wrote, oldest first."""
        ...

    async def logs_since(self, tenant: str, platform: str, offset: int) -> tuple[list[str], int]:
        """The lines past `offset` and the offset after them.

        A negative offset stands for the last part of the log, at least some hundred lines.
        """
        ...

    def nudge(self) -> None:
        """Tell the executor that there is new work. Never waits and never fails."""
        ...


class Credentials(Protocol):
    def credentials(self, tenant: str, platform: str) -> tuple[str, str]:
        """E-mail and password of the platform's first administrator; `NotFound` without one."""
        ...


class Gateway(Screening, Hosting, Credentials, Protocol):
    """Everything the API asks of the cluster."""
