"""The client and the command line against the real API: uvicorn, Postgres, runs that are driven."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from engine.conductor.driver import RunDriver
from engine.kernel.contracts import Call, Caller
from engine.kernel.dispatch import ROOT_TENANT
from engine.kernel.errors import (
    Conflict,
    Forbidden,
    IdempotencyConflict,
    InvalidInput,
    NotFound,
    NotUnderstood,
    PreconditionFailed,
    Unauthenticated,
)
from engine.trust.tokens import IssueToken, draw
from serve_apps.api import create_api
from storage.work import PostgresWorkQueue
from tests.integration.test_durable_runs import NothingDue, ScriptedWorkshop, claim
from webnova import AsyncClient, Client, Patience
from webnova.compose import Installation

ROOT = Path(__file__).parents[2]
BLUEPRINT = """\
webnova: "1"
name: kiosk
title: {en: Kiosk, ar: كشك}
entities:
  Product:
    fields:
      name: {type: string}
"""


class NamedByFirstWord:
    """The cluster's side of the API: enough of it for what these tests ask."""

    async def screen(self, description: str) -> str:
        if not description.isascii() and not any(map(str.isalpha, description)):
            raise NotUnderstood("No platform follows from this.", mend="Say what it shall do.")
        return description.split()[0].lower()

    async def logs(self, tenant: str, platform: str, lines: int) -> list[str]:
        return ["سطر", "second", "third"][-lines:]

    async def logs_since(self, tenant: str, platform: str, offset: int) -> tuple[list[str], int]:
        return (["سطر", "second"], 2) if offset < 1 else ([], offset)

    def credentials(self, tenant: str, platform: str) -> tuple[str, str]:
        return f"admin@{platform}.example.com", f"password-of-{tenant}"

    def nudge(self) -> None:
        pass


@dataclass
class Api:
    """One server over the installation, on a port that it keeps when it is started again."""

    installation: Installation
    port: int
    _server: uvicorn.Server | None = None
    _task: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        app = create_api(self.installation, NamedByFirstWord())
        config = uvicorn.Config(
            app, port=self.port, log_level="warning", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._task = asyncio.create_task(self._server.serve())
        while not self._server.started:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        if self._server is not None and self._task is not None:
            self._server.should_exit = True
            await self._task

    async def token(self, tenant: str, permissions: list[str] | None = None) -> str:
        id, digest, token = draw(tenant)
        command = IssueToken(
            id=id, secret_sha256=digest, label="test", permissions=permissions or ["*"]
        )
        owner = Caller(id="operator", tenant=tenant, permissions=frozenset({"*"}))
        await self.installation.dispatcher.execute(Call(command, owner, tenant))
        return token.reveal()


@pytest.fixture
async def api(installation: Installation) -> AsyncIterator[Api]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    made = Api(installation, port)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def client(api: Api, tenant: str) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(api.url, await api.token(tenant)) as made:
        yield made


@contextlib.asynccontextmanager
async def driving(
    installation: Installation, queue: PostgresWorkQueue, tenant: str
) -> AsyncIterator[ScriptedWorkshop]:
    """Carries every run of the tenant forward, as the executor does."""
    workshop = ScriptedWorkshop()

    async def drive() -> None:
        while True:
            with contextlib.suppress(NothingDue):
                lease = await claim(queue, tenant)
                await RunDriver(installation.dispatcher, queue, workshop).drive(lease)
            await asyncio.sleep(0.02)

    task = asyncio.create_task(drive())
    try:
        yield workshop
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_from_a_sentence_to_a_release_and_back(
    client: AsyncClient, api: Api, queue: PostgresWorkQueue, tenant: str
) -> None:
    assert (await client.health()).status == "ok"
    async with driving(api.installation, queue, tenant):
        accepted = await client.create("Kiosk with products")
        name = accepted.platform.name
        types = [event.type async for event in client.follow(accepted.run)]
        assert types[0] == "run.requested"
        assert types[-1] == "run.succeeded"
        assert types.count("run.step_completed") == 7
        first = await client.platform(name)
        assert first.version == 1
        assert first.url == f"{api.url}/p/{tenant}/{name}/"
        assert first.docs_url == f"{first.url}docs"

        seen = await client.blueprint(name)
        changed = {**seen.content, "title": {"en": "Another", "ar": "آخر"}}
        saved = await client.save_blueprint(name, changed, expected=seen.digest)
        with pytest.raises(PreconditionFailed):
            await client.save_blueprint(name, seen.content, expected=seen.digest)
        assert [each.version for each in await client.blueprint_versions(name)] == [1, 2]
        changes = await client.blueprint_diff(name, 1, 2)
        assert [change.path for change in changes] == ["title"]
        assert changes == await client.diff(seen.content, saved.content)
        assert "آخر" in await client.blueprint_yaml(name)

        build = await client.build(name)
        assert (await client.wait(build.run, timeout=30)).state == "succeeded"
        assert (await client.platform(name)).version == 2
        back = await client.rollback(name)
        assert (await client.wait(back.run, timeout=30)).kind == "rollback"
        assert (await client.platform(name)).version == 1
        assert [run.kind async for run in client.runs(name)] == ["rollback", "build", "create"]
        assert [each.name async for each in client.platforms()] == [name]


async def test_the_same_key_gives_the_same_answer(client: AsyncClient) -> None:
    first = await client.create("Shop for books", idempotency_key="one")
    assert await client.create("Shop for books", idempotency_key="one") == first
    with pytest.raises(IdempotencyConflict):
        await client.rollback(first.platform.name, idempotency_key="one")
    second = await client.create("Shop for books")
    assert second.platform.name != first.platform.name


async def test_failures_come_back_as_the_servers_errors(client: AsyncClient, api: Api) -> None:
    await client.create(blueprint_text=BLUEPRINT)
    with pytest.raises(Conflict, match="exists"):
        await client.create(blueprint_text=BLUEPRINT)
    with pytest.raises(Conflict, match="under way") as busy:
        await client.build("kiosk")
    assert busy.value.fields["run"].startswith("run_")
    with pytest.raises(NotFound):
        await client.platform("nothing")
    with pytest.raises(InvalidInput) as wrong:
        await client.validate(BLUEPRINT.replace("string", "strng"))
    assert [(each["line"], each["suggestion"]) for each in wrong.value.fields["errors"]] == [
        (7, "string")
    ]
    with pytest.raises(NotUnderstood):
        await client.create("؟؟؟ !!!")
    with pytest.raises(Unauthenticated):
        await AsyncClient(api.url, "wn_root_wrong").platform("kiosk")
    assert (await client.validate(BLUEPRINT)).blueprint["name"] == "kiosk"
    assert (await client.blueprint_schema())["title"] == "WebNova Blueprint"


async def test_tenants_and_tokens(api: Api, tenant: str) -> None:
    name = f"{tenant}-new"
    async with AsyncClient(api.url, await api.token(ROOT_TENANT)) as root:
        made = await root.create_tenant(name, "Acme", idempotency_key=name)
        assert made.token is not None
        again = await root.create_tenant(name, "Acme", idempotency_key=name)
        assert again.token is None
        assert (await root.tenant(name)).title == "Acme"
        assert name in [each.name async for each in root.tenants()]
    async with AsyncClient(api.url, made.token) as acme:
        issued = await acme.issue_token("reader", ["platform.read"])
        assert issued.token is not None
        async with AsyncClient(api.url, issued.token) as reader:
            assert [each async for each in reader.platforms()] == []
            with pytest.raises(Forbidden):
                await reader.create("Kiosk")
            assert (await acme.revoke_token(issued.id)).revoked
            with pytest.raises(Unauthenticated):
                await reader.platform("kiosk")
        assert issued.id in [each.id async for each in acme.tokens()]
        accepted = await acme.create("Kiosk")
    token = await api.token(ROOT_TENANT)
    async with AsyncClient(api.url, token, tenant=name) as visitor:
        assert (await visitor.platform("kiosk")).run == accepted.run


async def test_a_stream_survives_the_server(
    api: Api, queue: PostgresWorkQueue, tenant: str
) -> None:
    """The API goes away in the middle of a run and comes back; each event is seen once."""
    patience = Patience(attempts=50, budget_s=60, pause_s=0.05, longest_pause_s=0.1)
    async with AsyncClient(api.url, await api.token(tenant), patience=patience) as client:
        accepted = await client.create("Kiosk")
        seen: list[str] = []
        begun = asyncio.Event()

        async def watch() -> None:
            async for event in client.follow(accepted.run):
                seen.append(event.cursor)
                begun.set()

        watching = asyncio.create_task(watch())
        await asyncio.wait_for(begun.wait(), 30)
        await api.stop()
        await asyncio.sleep(0.2)
        async with driving(api.installation, queue, tenant):
            await api.start()
            await asyncio.wait_for(watching, 30)
        recorded = [event.cursor async for event in client.events() if event.id == accepted.run]
        assert seen == recorded
        assert len(recorded) > 10


async def test_logs_credentials_and_live_events(client: AsyncClient) -> None:
    accepted = await client.create(blueprint_text=BLUEPRINT)
    assert [line async for line in client.logs("kiosk", 2)] == ["second", "third"]
    live = client.logs("kiosk", follow=True)
    assert [await anext(live), await anext(live)] == ["سطر", "second"]
    assert (await client.credentials("kiosk")).admin_email == "admin@kiosk.example.com"
    past = [event async for event in client.events()]
    events = client.events(past[-1].cursor, follow=True)
    await client.cancel(accepted.run)
    assert (await anext(events)).type == "run.cancel_requested"


async def test_the_blocking_client(api: Api, queue: PostgresWorkQueue, tenant: str) -> None:
    def use(token: str) -> list[Any]:
        with Client(api.url, token) as client:
            accepted = client.create("Kiosk")
            types = [event.type for event in client.follow(accepted.run)]
            run = client.wait(accepted.run)
            platforms = [each.name for each in client.platforms()]
            return [types[-1], run.state, platforms, list(client.logs("kiosk", 1))]

    async with driving(api.installation, queue, tenant):
        found = await asyncio.to_thread(use, await api.token(tenant))
    assert found == ["run.succeeded", "succeeded", ["kiosk"], ["third"]]


@dataclass
class Shell:
    """Runs `webnova` as a person's shell does."""

    environment: dict[str, str]

    async def __call__(self, *words: str, stdin: str = "") -> tuple[int, str, str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "webnova.cli", *words),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=ROOT,
            env=self.environment,
        )
        out, error = await asyncio.wait_for(process.communicate(stdin.encode()), 60)
        assert process.returncode is not None
        return process.returncode, out.decode(), error.decode()


@pytest.fixture
async def webnova(api: Api, tenant: str, tmp_path: Path) -> Shell:
    return Shell(
        {
            "PATH": os.environ["PATH"],
            "LC_ALL": "C",
            "WEBNOVA_HOME": str(tmp_path / "home"),
            "WEBNOVA_URL": api.url,
            "WEBNOVA_TOKEN": await api.token(tenant),
        }
    )


async def test_the_command_line_creates_and_shows(
    webnova: Shell, api: Api, queue: PostgresWorkQueue, tenant: str, tmp_path: Path
) -> None:
    async with driving(api.installation, queue, tenant):
        code, out, error = await webnova("create", "-", "--json", stdin="Kiosk للبيع")
        assert (code, error) == (0, "")
        made = json.loads(out)
        assert made["name"] == "kiosk"
        assert made["version"] == 1
        assert made["url"] == f"{api.url}/p/{tenant}/kiosk/"
        assert made["outcome"]["state"] == "succeeded"

        file = tmp_path / "blue print.yaml"
        file.write_text(BLUEPRINT, encoding="utf-8")
        code, out, _ = await webnova("build", str(file))
        assert code == 0
        assert "✓ Run the tests in the sandbox" in out
        assert f"{api.url}/p/{tenant}/kiosk/docs" in out
        code, out, _ = await webnova("rollback", "kiosk", "--json")
        assert (code, json.loads(out)["version"]) == (0, 1)

    code, out, _ = await webnova("list", "--json")
    assert (code, [each["name"] for each in json.loads(out)]) == (0, ["kiosk"])
    code, out, _ = await webnova("show", "kiosk", "--credentials")
    assert code == 0
    assert f"password-of-{tenant}" in out
    assert "Kiosk للبيع" in out
    code, out, _ = await webnova("blueprint", "diff", "kiosk")
    assert code == 0
    assert "كشك" in (await webnova("blueprint", "show", "kiosk"))[1]
    code, out, _ = await webnova("events", "--json")
    lines = [json.loads(line) for line in out.splitlines()]
    assert lines[0]["type"] == "token.issued"
    assert {"cursor", "type", "id", "at", "data"} <= set(lines[0])
    code, out, _ = await webnova("logs", "kiosk", "-n", "1")
    assert (code, out) == (0, "third\n")


async def test_the_command_line_says_what_went_wrong(webnova: Shell) -> None:
    code, out, error = await webnova("show", "nothing")
    assert (code, out) == (4, "")
    assert "There is no platform 'nothing'." in error
    code, out, _ = await webnova("show", "nothing", "--json")
    assert (code, json.loads(out)["error"]["code"]) == (4, "not_found")
    code, _, error = await webnova("create", "")
    assert code == 2
    assert "description" in error
    webnova.environment["WEBNOVA_TOKEN"] = "wn_root_wrong"
    assert (await webnova("list"))[0] == 5
    webnova.environment["WEBNOVA_URL"] = "http://127.0.0.1:1"
    code, _, error = await webnova("list")
    assert code == 3
    assert "Traceback" not in error


async def test_a_failed_run_ends_with_its_cause(
    webnova: Shell, api: Api, queue: PostgresWorkQueue, tenant: str
) -> None:
    async with driving(api.installation, queue, tenant) as workshop:
        workshop.slow = "generate"
        creating = asyncio.create_task(webnova("create", "Kiosk"))
        await asyncio.wait_for(workshop.reached.wait(), 30)
        async with AsyncClient(api.url, webnova.environment["WEBNOVA_TOKEN"]) as client:
            run = (await client.platform("kiosk")).run
        assert run is not None
        code, out, _ = await webnova("cancel", run, "--json")
        assert (code, json.loads(out)["state"]) == (0, "cancelled")
        code, out, _ = await creating
    assert code == 1
    assert "was cancelled" in out
