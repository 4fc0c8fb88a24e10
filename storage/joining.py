"""Appends that wait at the same time, made as one transaction.

The natural batching of group commit: whoever comes while nothing is under way goes at once and
alone; who comes meanwhile waits for that to end, together with all others who do. Nobody waits on a
timer to gather more, and a single writer pays nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, TypeVar

AT_ONCE = 2
"""Transactions of a tenant that are under way before others wait."""
MOST_JOINED = 64
PATIENCE = 0.02
"""Seconds after which those who wait no longer wait for what is under way: it may be waiting for a
lock that somebody keeps."""

Wish = TypeVar("Wish")
Answer = TypeVar("Answer")


@dataclass(slots=True)
class _Tenant(Generic[Wish, Answer]):
    under_way: int = 0
    waiting: list[tuple[Wish, asyncio.Future[Answer | None]]] = field(default_factory=list)
    keys: set[object] = field(default_factory=set)
    timer: asyncio.TimerHandle | None = None


class Joining(Generic[Wish, Answer]):
    """Belongs to one event loop. A tenant's wishes are joined with nobody else's.

    `alone` fulfils a wish. `together` fulfils many: it answers `None` for those that it has left
    out, which are then fulfilled alone, as is a wish that one of the same key already waits.
    """

    def __init__(
        self,
        alone: Callable[[str, Wish], Awaitable[Answer]],
        together: Callable[[str, Sequence[Wish]], Awaitable[Sequence[Answer | None]]],
    ) -> None:
        self._alone = alone
        self._together = together
        self._tenants: dict[str, _Tenant[Wish, Answer]] = {}
        self._tasks: set[asyncio.Task[Sequence[Answer | None]]] = set()

    async def fulfil(self, tenant: str, wish: Wish, keys: Sequence[object]) -> Answer:
        """Wishes that share one of their keys are never fulfilled in one transaction."""
        state = self._tenants.setdefault(tenant, _Tenant())
        if state.under_way >= AT_ONCE and state.keys.isdisjoint(keys):
            answer = await self._wait(tenant, state, wish, keys)
            return await self._alone(tenant, wish) if answer is None else answer
        state.under_way += 1
        try:
            return await self._alone(tenant, wish)
        finally:
            self._ended(tenant, state)

    def _wait(
        self, tenant: str, state: _Tenant[Wish, Answer], wish: Wish, keys: Sequence[object]
    ) -> asyncio.Future[Answer | None]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer | None] = loop.create_future()
        state.waiting.append((wish, future))
        state.keys.update(keys)
        if len(state.waiting) == MOST_JOINED:
            self._begin(tenant, state)
        elif state.timer is None:
            state.timer = loop.call_later(PATIENCE, self._begin, tenant, state)
        return future

    def _ended(self, tenant: str, state: _Tenant[Wish, Answer]) -> None:
        state.under_way -= 1
        if state.waiting:
            self._begin(tenant, state)
        elif not state.under_way:
            self._tenants.pop(tenant, None)

    def _begin(self, tenant: str, state: _Tenant[Wish, Answer]) -> None:
        waiting, state.waiting = state.waiting, []
        state.keys = set()
        if state.timer is not None:
            state.timer.cancel()
            state.timer = None
        state.under_way += 1
        # Who left meanwhile wants nothing any more.
        wanted = [each for each in waiting if not each[1].done()]
        wishes = [wish for wish, _ in wanted]
        task = asyncio.get_running_loop().create_task(self._make(tenant, wishes))
        self._tasks.add(task)
        task.add_done_callback(partial(self._made, tenant, state, [future for _, future in wanted]))

    async def _make(self, tenant: str, wishes: Sequence[Wish]) -> Sequence[Answer | None]:
        if len(wishes) == 1:
            return [await self._alone(tenant, wishes[0])]
        return await self._together(tenant, wishes) if wishes else ()

    def _made(
        self,
        tenant: str,
        state: _Tenant[Wish, Answer],
        futures: Sequence[asyncio.Future[Answer | None]],
        task: asyncio.Task[Sequence[Answer | None]],
    ) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        for number, future in enumerate(futures):
            if future.done():
                continue
            if task.cancelled():
                future.cancel()
            elif error is not None:
                future.set_exception(error)
            else:
                future.set_result(task.result()[number])
        self._ended(tenant, state)
