"""The life of a tenant on the command line and in the Python client."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.kernel.dispatch import ROOT_TENANT
from engine.kernel.errors import Conflict, TenantSuspended
from tests.integration.test_client_server import Api, Shell, api, webnova
from webnova import AsyncClient

__all__ = ["api", "webnova"]


@pytest.fixture
async def root(webnova: Shell, api: Api) -> Shell:
    return Shell({**webnova.environment, "WEBNOVA_TOKEN": await api.token(ROOT_TENANT)})


async def test_a_tenant_is_suspended_exported_verified_and_resumed(
    root: Shell, webnova: Shell, tenant: str, tmp_path: Path
) -> None:
    code, out, _ = await root("tenant", "create", tenant, "--title", "عيادة", "--json")
    member = Shell({**webnova.environment, "WEBNOVA_TOKEN": json.loads(out)["token"]})
    assert code == 0 and (await member("list"))[0] == 0
    code, out, _ = await root("tenant", "suspend", tenant, "--reason", "unpaid", "--json")
    assert code == 0 and json.loads(out)["suspended"]["reason"] == "unpaid"
    code, _, error = await member("list")
    assert code != 0 and "suspended: unpaid" in error
    for words in (("list",), ("show", tenant)):
        code, out, _ = await root("tenant", *words)
        assert code == 0 and "suspended: unpaid" in out
    file = tmp_path / "a file.jsonl"
    code, out, error = await root("tenant", "export", tenant, "-o", str(file))
    assert (code, error) == (0, "") and "whole and signed" in out
    code, out, _ = await root("--tenant", tenant, "audit", "checkpoint", "--json")
    vkey = json.loads(out)["vkey"]
    alone = Shell({**webnova.environment, "WEBNOVA_URL": "http://127.0.0.1:1"})
    code, out, _ = await alone("tenant", "verify", str(file), "--vkey", vkey, "--json")
    assert code == 0 and json.loads(out)["log"]["outside"]
    code, _, error = await root("tenant", "import", str(file), "--vkey", vkey)
    assert code != 0 and "already" in error
    file.write_bytes(file.read_bytes()[:-20])
    assert (await alone("tenant", "verify", str(file)))[0] == 2
    assert (await root("tenant", "import", str(file)))[0] == 2
    assert (await root("tenant", "import", str(tmp_path / "none")))[0] == 4
    code, out, _ = await root("tenant", "resume", tenant, "--json")
    assert code == 0 and json.loads(out)["suspended"] is None
    assert (await member("list"))[0] == 0


async def test_the_client_does_the_same(api: Api, tenant: str, tmp_path: Path) -> None:
    async with AsyncClient(api.url, await api.token(ROOT_TENANT)) as client:
        made = await client.create_tenant(tenant, "T")
        await client.suspend_tenant(tenant, "unpaid")
        async with AsyncClient(api.url, made.token) as member:
            with pytest.raises(TenantSuspended, match="unpaid"):
                [each async for each in member.platforms()]
            assert (await client.resume_tenant(tenant)).suspended is None
            assert [each async for each in member.platforms()] == []
        lines = [line async for line in client.export_tenant(tenant)]
        file = tmp_path / "file"
        file.write_bytes(b"".join(line + b"\n" for line in lines))
        with pytest.raises(Conflict, match="already"):
            await client.import_tenant(file)


async def test_a_tenant_is_deleted_only_under_its_name(root: Shell, tenant: str) -> None:
    assert (await root("tenant", "create", tenant))[0] == 0
    code, _, error = await root("tenant", "delete", tenant, "--confirm", "another")
    assert code == 2 and "nothing was deleted" in error
    code, _, error = await root("tenant", "delete", tenant, "--confirm", tenant)
    assert code != 0 and "not suspended" in error
    assert (await root("tenant", "suspend", tenant, "--reason", "ended"))[0] == 0
    code, _, error = await root("tenant", "delete", tenant, "--confirm", tenant)
    assert code != 0 and "a moment ago" in error


async def test_a_subject_is_erased(root: Shell, webnova: Shell, api: Api, tenant: str) -> None:
    async with AsyncClient(api.url, webnova.environment["WEBNOVA_TOKEN"]) as client:
        token = await client.issue_token("Amal Haddad", ["event.read"])
        subject = f"token:{token.id}"
        code, out, _ = await webnova("subject", "show", subject, "--json")
        assert code == 0 and json.loads(out)["state"] == "held"
        erase = ("subject", "erase", subject, "--reason", "article 17")
        assert (await webnova(*erase))[0] != 0
        assert "Amal Haddad" in {each.label async for each in client.tokens()}
        code, out, _ = await webnova(*erase, "--yes", "--json")
        assert code == 0 and json.loads(out)["state"] == "erased"
        assert "Amal Haddad" not in {each.label async for each in client.tokens()}
    code, out, _ = await root("tenant", "recipient", "--json")
    assert code == 0 and len(json.loads(out)["recipient"]) == 43
