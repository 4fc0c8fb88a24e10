"""Wishes that wait together are fulfilled together, each with its own answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from storage.joining import AT_ONCE, MOST_JOINED, Joining


class Desk:
    """Fulfils wishes when it is told to; a wish of 13 or above is left out of what is joined."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.alone: list[int] = []
        self.together: list[list[int]] = []
        self.joined = asyncio.Event()
        self.open = asyncio.Event()
        self._failure = failure
        self.joining = Joining(self._alone, self._together)

    async def _alone(self, tenant: str, wish: int) -> str:
        self.alone.append(wish)
        await self.open.wait()
        return f"{tenant}:{wish}"

    async def _together(self, tenant: str, wishes: Sequence[int]) -> Sequence[str | None]:
        self.together.append(list(wishes))
        self.joined.set()
        await self.open.wait()
        if self._failure is not None:
            raise self._failure
        return [f"{tenant}:{wish} joined" if wish < 13 else None for wish in wishes]

    def wish(self, number: int, key: object = None, tenant: str = "t") -> asyncio.Task[str]:
        keys = [number if key is None else key]
        return asyncio.ensure_future(self.joining.fulfil(tenant, number, keys))


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_the_first_go_alone_and_who_waits_is_joined() -> None:
    desk = Desk()
    tasks = [desk.wish(number) for number in range(6)]
    await settled()
    assert (desk.alone, desk.together) == ([0, 1], [])
    desk.open.set()
    answers = await asyncio.gather(*tasks)
    assert answers == ["t:0", "t:1", *(f"t:{number} joined" for number in range(2, 6))]
    assert desk.together == [[2, 3, 4, 5]]


async def test_what_is_left_out_is_fulfilled_alone() -> None:
    desk = Desk()
    tasks = [desk.wish(number) for number in (0, 1, 2, 13, 3)]
    await settled()
    desk.open.set()
    assert await asyncio.gather(*tasks) == ["t:0", "t:1", "t:2 joined", "t:13", "t:3 joined"]


async def test_wishes_that_share_a_key_and_other_tenants_are_not_joined() -> None:
    desk = Desk()
    tasks = [desk.wish(0), desk.wish(1), desk.wish(2, "same"), desk.wish(3, "same"), desk.wish(4)]
    tasks += [desk.wish(5, tenant="other")]
    await settled()
    assert desk.alone == [0, 1, 3, 5]
    desk.open.set()
    await asyncio.gather(*tasks)
    assert desk.together == [[2, 4]]


async def test_nobody_waits_for_ever_for_what_is_under_way() -> None:
    desk = Desk()
    tasks = [desk.wish(number) for number in range(AT_ONCE + 3)]
    await asyncio.wait_for(desk.joined.wait(), 30)
    assert desk.together == [[2, 3, 4]]
    desk.open.set()
    await asyncio.gather(*tasks)


async def test_no_more_are_joined_than_allowed() -> None:
    desk = Desk()
    tasks = [desk.wish(number) for number in range(-200, 0)]
    await settled()
    desk.open.set()
    await asyncio.gather(*tasks)
    assert sorted(desk.alone + [each for part in desk.together for each in part]) == [
        *range(-200, 0)
    ]
    assert max(map(len, desk.together)) == MOST_JOINED


async def test_a_failure_is_told_to_all_who_were_joined_and_to_nobody_else() -> None:
    desk = Desk(failure=OSError("gone"))
    tasks = [desk.wish(number) for number in range(5)]
    await settled()
    desk.open.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert answers[:2] == ["t:0", "t:1"]
    assert [str(each) for each in answers[2:]] == ["gone"] * 3
    assert desk.alone == [0, 1], "nothing is repeated that may have been done"


async def test_who_leaves_takes_nobody_along() -> None:
    desk = Desk()
    tasks = [desk.wish(number) for number in range(5)]
    await settled()
    tasks[3].cancel()
    await settled()
    desk.open.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(answers[3], asyncio.CancelledError)
    assert desk.together == [[2, 4]]


async def test_a_single_wish_that_waited_is_fulfilled_alone_with_its_own_error() -> None:
    async def alone(tenant: str, wish: int) -> int:
        await asyncio.sleep(0)
        if wish == 2:
            raise ValueError("refused")
        return wish

    async def together(tenant: str, wishes: Sequence[int]) -> Sequence[int | None]:
        raise AssertionError("nothing to join")

    joining = Joining(alone, together)
    answers = await asyncio.gather(
        *(joining.fulfil("t", number, [number]) for number in range(3)), return_exceptions=True
    )
    assert answers[:2] == [0, 1]
    assert isinstance(answers[2], ValueError)
    with pytest.raises(ValueError, match="refused"):
        await joining.fulfil("t", 2, [2])
