from __future__ import annotations

import asyncio

import pytest

from engine.kernel.errors import NotFound
from serve_apps import preview
from serve_apps.preview import Addresses
from serve_apps.upstream import Upstreams, repeatable


class Ledger:
    def __init__(self) -> None:
        self.asked = 0
        self.address: str | Exception = "unix:/a"
        self.left: list[str] = []
        self.addresses = Addresses(self.lookup, self.left.append)

    async def lookup(self, tenant: str, platform: str) -> str:
        self.asked += 1
        await asyncio.sleep(0)
        if isinstance(self.address, Exception):
            raise self.address
        return self.address


async def test_an_address_is_asked_for_once_while_it_is_fresh() -> None:
    ledger = Ledger()
    found = await asyncio.gather(*(ledger.addresses.of("t", "p") for _ in range(20)))
    assert set(found) == {"unix:/a"}
    assert await ledger.addresses.of("t", "p") == "unix:/a"
    assert ledger.asked == 1
    await ledger.addresses.of("t", "other")
    assert ledger.asked == 2


async def test_an_address_is_asked_for_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger()
    await ledger.addresses.of("t", "p")
    ledger.address = "unix:/b"
    assert await ledger.addresses.of("t", "p") == "unix:/a"
    assert await ledger.addresses.of("t", "p", anew=True) == "unix:/b"
    assert ledger.left == ["unix:/a"]
    ledger.address = "unix:/c"
    monkeypatch.setattr(preview, "FRESH_S", 0.0)
    assert await ledger.addresses.of("t", "p") == "unix:/c"
    assert preview.FRESH_S <= 0.1


async def test_a_failure_is_not_remembered() -> None:
    ledger = Ledger()
    ledger.address = NotFound("no")
    with pytest.raises(NotFound):
        await ledger.addresses.of("t", "p")
    ledger.address = "unix:/a"
    assert await ledger.addresses.of("t", "p") == "unix:/a"


async def test_a_retired_upstream_is_closed_after_its_last_user() -> None:
    upstreams = Upstreams()
    async with upstreams.using("unix:/a") as first:
        upstreams.retire("unix:/a")
        async with upstreams.using("unix:/a") as second:
            assert second is not first
        assert first.retired
        assert first.users == 1
    assert len(upstreams) == 1
    await upstreams.close()
    assert len(upstreams) == 0


async def test_the_pools_are_bounded() -> None:
    upstreams = Upstreams(most=2)
    for name in "abc":
        async with upstreams.using(f"unix:/{name}"):
            pass
    async with upstreams.using("unix:/b"):
        pass
    assert list(upstreams._open) == ["unix:/c", "unix:/b"]
    await upstreams.close()


def test_only_idempotent_methods_may_be_repeated() -> None:
    assert repeatable("GET") and repeatable("PUT") and repeatable("DELETE")
    assert not repeatable("POST") and not repeatable("PATCH")
