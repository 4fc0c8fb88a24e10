"""Any document through time: versions, differences, authors; over HTTP, the client and the CLI."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from engine.conductor.requests import CreatePlatform
from engine.forge.versions import SaveBlueprint
from engine.kernel.contracts import Call, Caller
from engine.kernel.errors import BudgetExceeded, Conflict, Forbidden, InvalidInput, NotFound
from engine.ledger.metering.budgets import GetBudget, ReserveBudget, SetBudget
from engine.ledger.streams import Append, NewEvent, Origin
from engine.ledger.versions import (
    Blame,
    BlameDocument,
    CompareVersions,
    Differences,
    DocumentVersion,
    GetVersion,
    ListVersions,
    RestoreDocument,
    VersionList,
)
from engine.trust.tokens import TokenRevoked
from serve_apps.api import create_api
from tests.integration.conftest import execute, owner
from tests.integration.serving import ScriptedGateway, issue, served
from webnova.compose import Installation

FIRST: dict[str, Any] = {
    "name": "shop",
    "title": {"en": "Shop"},
    "entities": {"Product": {"fields": {"name": {"type": "string"}}}},
}
SECOND = {
    **FIRST,
    "title": {"en": "Corner/shop"},
    "entities": {"Product": {"fields": {"name": {"type": "string"}, "price": {"type": "integer"}}}},
}
THIRD = {**FIRST, "title": {"en": "Corner/shop"}}


def as_caller(id: str, tenant: str, *permissions: str) -> Caller:
    return Caller(id=id, tenant=tenant, permissions=frozenset(permissions or {"*"}))


async def ask(installation: Installation, tenant: str, query: Any) -> Any:
    return await installation.dispatcher.ask(query, owner(tenant), tenant)


@pytest.fixture
async def shop(installation: Installation, tenant: str) -> str:
    """A Blueprint in three versions by three people."""
    wishes = [
        ("huda", CreatePlatform(name="shop", blueprint=FIRST)),
        ("omar", SaveBlueprint(platform="shop", content=SECOND)),
        ("lina", SaveBlueprint(platform="shop", content=THIRD)),
    ]
    for caller, command in wishes:
        await installation.dispatcher.execute(Call(command, as_caller(caller, tenant), tenant))
    return tenant


async def test_versions_are_listed_page_by_page_with_their_authors(
    installation: Installation, shop: str
) -> None:
    first: VersionList = await ask(
        installation, shop, ListVersions(kind="blueprint", id="shop", limit=2)
    )
    assert [(each.version, each.caller) for each in first.items] == [(1, "huda"), (2, "omar")]
    assert first.next == 2
    rest: VersionList = await ask(
        installation, shop, ListVersions(kind="blueprint", id="shop", after=2)
    )
    assert [(each.version, each.command) for each in rest.items] == [(3, "SaveBlueprint")]
    assert rest.next is None


async def test_a_version_is_what_the_document_was(installation: Installation, shop: str) -> None:
    for version, title in ((1, "Shop"), (2, "Corner/shop"), (3, "Corner/shop")):
        query = GetVersion(kind="blueprint", id="shop", version=version)
        found: DocumentVersion = await ask(installation, shop, query)
        content: Any = found.data["content"]
        assert content["title"]["en"] == title
    with pytest.raises(NotFound, match="no version 4"):
        await ask(installation, shop, GetVersion(kind="blueprint", id="shop", version=4))


async def test_differences_name_every_value_that_changed_and_no_other(
    installation: Installation, shop: str
) -> None:
    async def compare(old: int | None = None, new: int | None = None) -> dict[str, Any]:
        query = CompareVersions(kind="blueprint", id="shop", old=old, new=new)
        found: Differences = await ask(installation, shop, query)
        return {
            each.path: (each.change, each.before, each.after)
            for each in found.items
            if each.path != "/digest"
        }

    field = "/content/entities/Product/fields/price/type"
    title = ("changed", "Shop", "Corner/shop")
    assert await compare(1, 2) == {
        "/content/title/en": title,
        field: ("added", None, "integer"),
    }
    assert await compare() == {field: ("removed", "integer", None)}
    assert await compare(1, 3) == {"/content/title/en": title}
    assert await compare(2, 2) == {}
    created = await compare(0, 1)
    assert created and {change for change, _, _ in created.values()} == {"added"}
    with pytest.raises(InvalidInput):
        await compare(3, 2)


async def test_each_value_is_blamed_on_who_last_changed_it(
    installation: Installation, shop: str
) -> None:
    async def authors(version: int | None = None) -> dict[str, str]:
        query = BlameDocument(kind="blueprint", id="shop", version=version)
        found: Blame = await ask(installation, shop, query)
        return {each.path: each.by.caller for each in found.items}

    now = await authors()
    assert now["/content/title/en"] == "omar"
    assert now["/content/entities/Product/fields/name/type"] == "huda"
    assert now["/digest"] == "lina"
    assert not any("price" in path for path in now)
    assert set((await authors(1)).values()) == {"huda"}


async def test_every_kind_has_versions_and_the_newest_is_the_document(
    installation: Installation, shop: str
) -> None:
    async with installation.transactions.reading(shop) as reader:
        catalogue = installation.transactions.catalogue
        events = await installation.feed.read(shop, after=None)
        seen = {(event.kind, event.id) for event in events}
        assert {kind for kind, _ in seen} >= {"blueprint", "platform", "run"}
        stored = {(kind, id): await reader.find(catalogue.documents[kind], id) for kind, id in seen}
    for (kind, id), found in stored.items():
        assert found is not None
        query = GetVersion(kind=kind, id=id, version=found.version)
        version: DocumentVersion = await ask(installation, shop, query)
        assert version.data == found.document.model_dump(mode="json")


async def test_versions_are_walled_and_need_their_permission(
    installation: Installation, shop: str
) -> None:
    query = ListVersions(kind="blueprint", id="shop")
    with pytest.raises(NotFound):
        await ask(installation, f"{shop}-b", query)
    with pytest.raises(Forbidden):
        reader = as_caller("reader", shop, "blueprint.read", "platform.*")
        await installation.dispatcher.ask(query, reader, shop)
    with pytest.raises(NotFound, match=r"there are: .*blueprint"):
        await ask(installation, shop, ListVersions(kind="secret", id="shop"))


async def restore(installation: Installation, caller: Caller, kind: str, id: str, to: int) -> Any:
    command = RestoreDocument(kind=kind, id=id, version=to)
    return await installation.dispatcher.execute(Call(command, caller, caller.tenant))


async def test_a_blueprint_is_restored_as_a_new_version(
    installation: Installation, shop: str
) -> None:
    before = await ask(installation, shop, GetVersion(kind="blueprint", id="shop", version=2))
    found = await restore(installation, owner(shop), "blueprint", "shop", 2)
    assert (found.version, found.data) == (4, before.data)
    blame = await ask(installation, shop, BlameDocument(kind="blueprint", id="shop"))
    assert {each.by.version for each in blame.items if each.path.endswith("/price/type")} == {4}


async def test_a_budget_is_restored_with_the_limit_that_holds(
    installation: Installation, tenant: str
) -> None:
    for limit in ("10", "99"):
        await execute(installation, tenant, SetBudget(name="ai-calls", limit=limit, currency="SAR"))
    await restore(installation, owner(tenant), "budget", "ai-calls", 1)
    held = await ask(installation, tenant, GetBudget(name="ai-calls"))
    assert str(held.limit) == "10"
    with pytest.raises(BudgetExceeded):
        await execute(installation, tenant, ReserveBudget(budget="ai-calls", amount="11"))


async def test_restoring_is_refused_where_it_can_not_be_or_may_not_be(
    installation: Installation, shop: str
) -> None:
    (run,) = await installation.feed.read(shop, after=None, kind="run", limit=1)
    with pytest.raises(Conflict, match="tells what has happened"):
        await restore(installation, owner(shop), "run", run.id, 1)
    with pytest.raises(NotFound):
        await restore(installation, owner(shop), "blueprint", "shop", 9)
    reader = as_caller("auditor", shop, "audit.read")
    with pytest.raises(Forbidden, match=r"blueprint\.write"):
        await restore(installation, reader, "blueprint", "shop", 1)
    history = await ask(installation, shop, ListVersions(kind="blueprint", id="shop"))
    assert len(history.items) == 3


async def test_the_causes_and_effects_of_an_event_are_told_over_http(
    installation: Installation, shop: str
) -> None:
    first = (await installation.feed.read(shop, after=None, limit=1))[0]
    follower = Append("seen", "x", [NewEvent(TokenRevoked())])
    await installation.streams.append(
        shop, [follower], Origin(caller="reactor", cause=first.event_id)
    )
    token = await issue(installation, shop)
    async with (
        served(create_api(installation, ScriptedGateway())) as address,
        httpx.AsyncClient(
            base_url=f"{address}/api/v1", headers={"authorization": f"Bearer {token}"}
        ) as client,
    ):
        links = (await client.get(f"/events/{first.event_id}/links")).json()
        assert links["event"]["event_id"] == first.event_id
        assert [each["type"] for each in links["effects"]] == ["token.revoked"]
        assert {each["type"] for each in links["siblings"]} >= {"run.requested"}
        (effect,) = links["effects"]
        back = (await client.get(f"/events/{effect['event_id']}/links")).json()
        assert [each["event_id"] for each in back["causes"]] == [first.event_id]
        unknown = await client.get("/events/00000000-0000-0000-0000-000000000000/links")
        assert unknown.status_code == 404
