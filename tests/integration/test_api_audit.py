"""Checkpoints, proofs and exports over HTTP, in the client and on the command line."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine.conductor.requests import CreatePlatform
from engine.kernel.errors import Forbidden, InvalidInput, NotFound
from engine.ledger.transparency.merkle import verify_consistency, verify_inclusion
from engine.ledger.transparency.notes import Checkpoint, Verifier, decoded, opened
from tests.conftest import TestDatabase
from tests.integration.conftest import execute
from tests.integration.test_client_server import Api, Shell, api, webnova
from tests.integration.test_transparency import keep_up, superuser
from webnova import AsyncClient, Client
from webnova.compose import Installation

__all__ = ["api", "webnova"]


async def log(installation: Installation, tenant: str, *names: str) -> None:
    for name in names:
        await execute(installation, tenant, CreatePlatform(name=name, description="متجر"))
    await keep_up(installation, tenant)


async def test_the_client_gets_what_verifies(
    api: Api, installation: Installation, tenant: str
) -> None:
    async with AsyncClient(api.url, await api.token(tenant)) as client:
        await log(installation, tenant, "one")
        first = await client.audit_checkpoint()
        await log(installation, tenant, "two")
        second = await client.audit_checkpoint()
        known = [Verifier.parse(first.vkey)]
        old, new = (opened(each.note, known)[0] for each in (first, second))
        assert old.size < new.size
        grown = await client.prove_consistency(old.size, new.size)
        hashes = [decoded(each, "hash") for each in grown.hashes]
        assert verify_consistency((old.size, old.root), (new.size, new.root), hashes)
        last = await client.prove_inclusion(index=new.size - 1)
        hashes = [decoded(each, "hash") for each in last.hashes]
        leaf = decoded(last.leaf, "leaf")
        assert verify_inclusion(leaf, last.index, last.size, hashes, new.root)
        assert json.loads(last.event or "")["tenant"] == tenant
        lines = [json.loads(line) async for line in client.audit_export()]
        assert [line["index"] for line in lines[1:]] == list(range(new.size))
        assert lines[0]["checkpoint"] == second.note
        with pytest.raises(NotFound):
            await client.prove_inclusion(index=new.size)
        with pytest.raises(InvalidInput):
            await client.prove_consistency(1, new.size + 1)
    token = await api.token(tenant, ["event.read"])

    def ask() -> None:
        with Client(api.url, token) as weak:
            for question in (weak.audit_checkpoint, lambda: list(weak.audit_export())):
                with pytest.raises(Forbidden):
                    question()

    await asyncio.to_thread(ask)


async def test_another_tenants_log_is_out_of_reach(
    api: Api, installation: Installation, tenant: str
) -> None:
    await log(installation, tenant, "one")
    events = await installation.feed.read(tenant, after=None)
    async with AsyncClient(api.url, await api.token(f"{tenant}-other")) as client:
        await keep_up(installation, f"{tenant}-other")
        with pytest.raises(NotFound):
            await client.prove_inclusion(events[0].event_id)
        lines = [json.loads(line) async for line in client.audit_export()]
    assert [json.loads(line["event"])["kind"] for line in lines[1:]] == ["token"]


async def test_answers_have_their_media_types(
    api: Api, installation: Installation, tenant: str
) -> None:
    headers = {"authorization": f"Bearer {await api.token(tenant)}"}
    async with httpx.AsyncClient(base_url=f"{api.url}/api/v1/audit", headers=headers) as http:
        checkpoint = await http.get("/checkpoint")
        assert checkpoint.headers["content-type"] == "text/plain; charset=utf-8"
        assert Checkpoint.of(checkpoint.text).origin.endswith(f"/{tenant}")
        export = await http.get("/export")
        assert export.headers["content-type"].startswith("application/x-ndjson")
        assert (await http.get("/proof/inclusion")).status_code == 422
        assert (await http.get("/proof/consistency")).status_code == 422
        assert (await http.get("/proof/inclusion?index=-1")).status_code == 422


async def exported(webnova: Shell, file: Path) -> None:
    code, out, error = await webnova("audit", "export", "--out", str(file))
    assert (code, error) == (0, "") and "events in" in out


async def verified(webnova: Shell, *words: str) -> tuple[int, Any]:
    """The report of a verification that has no server and no token to ask."""
    alone = Shell(
        {
            **webnova.environment,
            "WEBNOVA_URL": "http://127.0.0.1:1",
            "WEBNOVA_TOKEN": "wn_root_wrong",
        }
    )
    code, out, _ = await alone("audit", "verify", *words, "--json")
    return code, json.loads(out)


async def test_the_command_line_exports_and_verifies_offline(
    webnova: Shell, installation: Installation, tenant: str, tmp_path: Path
) -> None:
    await log(installation, tenant, "one")
    kept = tmp_path / "kept checkpoint.txt"
    code, out, _ = await webnova("audit", "checkpoint", "--out", str(kept), "--json")
    vkey = json.loads(out)["vkey"]
    assert code == 0 and json.loads(out)["size"] == Checkpoint.of(kept.read_text()).size
    await log(installation, tenant, "two")
    file = tmp_path / "export.jsonl"
    await exported(webnova, file)
    code, report = await verified(webnova, str(file), "--checkpoint", str(kept), "--vkey", vkey)
    assert code == 0 and report["intact"] and report["outside"]

    code, out, _ = await webnova("audit", "checkpoint", "--since", str(kept))
    assert code == 0 and "continues" in out
    number = report["size"] - 1
    code, out, _ = await webnova("audit", "prove", str(number), "--json")
    event = json.loads(json.loads(out)["event"])
    assert code == 0 and event["id"]
    code, out, _ = await webnova("audit", "prove", event["event_id"])
    assert code == 0 and f"event {number} of" in out
    code, _, _ = await webnova("audit", "prove", str(number), "--checkpoint", str(kept))
    assert code == 4
    assert (await webnova("audit", "prove", "nonsense"))[0] == 2

    lines = file.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2].replace(b"token:", b"other:", 1)
    file.write_bytes(b"".join(lines))
    code, report = await verified(webnova, str(file), "--checkpoint", str(kept))
    assert code == 1
    assert [(each["problem"], each["index"]) for each in report["findings"]] == [("altered", 1)]
    file.write_bytes(b"".join(lines[:-1]))
    code, report = await verified(webnova, str(file))
    assert code == 1 and "shortened" in {each["problem"] for each in report["findings"]}


async def test_the_command_line_checks_a_running_installation(
    webnova: Shell, installation: Installation, postgres: TestDatabase, tenant: str, tmp_path: Path
) -> None:
    """A superuser rewrites events and log while the server runs; the kept checkpoint tells."""
    await log(installation, tenant, "one", "two")
    kept = tmp_path / "kept.txt"
    assert (await webnova("audit", "checkpoint", "--out", str(kept)))[0] == 0
    assert (await webnova("audit", "verify", "--checkpoint", str(kept)))[0] == 0
    connection = await superuser(postgres)
    try:
        await connection.execute(
            """UPDATE webnova.events SET data = jsonb_set(data, '{description}', '"x"')"""
            " WHERE tenant_id = $1 AND kind = 'platform' AND id = 'one' AND version = 1",
            tenant,
        )
        code, out, _ = await webnova("audit", "verify", "--checkpoint", str(kept))
        assert code == 1 and "platform 'one', version 1" in out
        for table in ("log_leaves", "log_nodes", "log_heads"):
            await connection.execute(f"DELETE FROM webnova.{table} WHERE tenant_id = $1", tenant)
    finally:
        await connection.close()
    await log(installation, tenant, "three")
    code, _, error = await webnova("audit", "checkpoint", "--since", str(kept))
    assert code == 1 and "does not continue" in error
    code, out, _ = await webnova("audit", "verify", "--checkpoint", str(kept))
    assert code == 1 and "signed checkpoint" in out
