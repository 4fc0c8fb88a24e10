"""An event loop of an actor's own, for work that goes on between calls.

Ray restarts a lost actor by running `__init__` again and nothing else, so whatever must go on by
itself has to be started there; and an actor's constructor has no running loop. A thread with a
loop has both.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

import structlog

T = TypeVar("T")
log = structlog.get_logger(__name__)


class Background:
    """Runs coroutines on a loop in a daemon thread."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        thread.start()

    def start(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run on the background loop and await the result on the caller's."""
        return await asyncio.wrap_future(self.start(work))

    def wake(self, event: asyncio.Event) -> None:
        self._loop.call_soon_threadsafe(event.set)


async def forever(
    name: str, turn: Callable[[], Awaitable[None]], *, pause: float, wake: asyncio.Event
) -> None:
    """Take turns for ever, each after `pause` seconds or as soon as `wake` is set.

    A turn that fails is logged, and the next comes after a longer pause (up to 5 s): whatever
    was not done is still due in Postgres.
    """
    failures = 0
    while True:
        try:
            await turn()
            failures = 0
        except Exception as error:  # noqa: BLE001 - logged; the work stays due and is tried again
            failures += 1
            log.warning("turn failed", loop=name, error=type(error).__name__, failures=failures)
        try:
            async with asyncio.timeout(min(5.0, pause * 2**failures)):
                await wake.wait()
        except TimeoutError:
            continue
        finally:
            wake.clear()
