"""Where the heavy steps of a run take place.

The conductor decides what happens and records it; a workshop does it. On a cluster the workshop
is Ray tasks and actors; in a test or at the command line it is this process. Every method may be
called again with the same arguments after a crash and must then give the same result.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from engine.kernel.contracts import Message

Progress = Callable[[float, str], Awaitable[None]]
"""Called with a fraction (0 to 1) and a short text for the person who watches."""


class Described(Message):
    """What the analysis of a description gave; `blueprint` is valid content."""

    blueprint: dict[str, Any]
    analyser: str
    confidence: float
    archetypes: list[str]
    assumptions: list[dict[str, str]]


class Prepared(Message):
    """What a bundle needs to run: which environment, and whether it was made anew.

    `bundle` is the bundle with its built pages; None when there was nothing to build.
    """

    environment: str
    created: bool
    duration_s: float
    bundle: bytes | None = None


class TestReport(Message):
    """The outcome of a generated platform's suites, and under what protection they ran."""

    passed: int
    failed: int
    skipped: int
    duration_s: float
    driver: str
    isolated: bool
    failures: list[dict[str, str]]
    log: str

    __test__ = False


class Launched(Message):
    """A healthy process that serves one release; `address` is what a gateway connects to."""

    address: str
    node: str


class Workshop(Protocol):
    async def describe(self, name: str, description: str, progress: Progress) -> Described: ...

    async def generate(
        self,
        name: str,
        blueprint: dict[str, Any],
        history: list[dict[str, Any]],
        progress: Progress,
    ) -> bytes:
        """The packed bundle of every generated file, tests included.

        `history` holds the earlier Blueprints that the platform's database has grown through,
        oldest first.
        """
        ...

    async def prepare(self, bundle: bytes) -> Prepared:
        """Make the bundle's dependencies ready, and build its pages."""
        ...

    async def test(self, name: str, bundle: bytes, progress: Progress) -> TestReport: ...

    async def launch(self, tenant: str, name: str, version: int, bundle: bytes) -> Launched:
        """Start a release beside the one that serves and wait until it is healthy."""
        ...

    async def retire(self, tenant: str, name: str, keep: int) -> None:
        """Let every other version of the platform finish its requests, then stop it."""
        ...
