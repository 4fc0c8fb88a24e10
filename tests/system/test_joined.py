"""A stack of other people's parts: an existing Postgres and an existing Ray cluster are joined."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import httpx
import psutil
import pytest
import yaml

from tests.system.conftest import root, small, succeeded
from webnova import Client
from webnova.stack.home import Home
from webnova.stack.local import Stack
from webnova.stack.ports import PortClaims
from webnova.stack.postgres import EmbeddedPostgres
from webnova.stack.processes import tree
from webnova.stack.ray_head import RayHead
from webnova.stack.remains import end_processes, remove_temporary
from webnova.stack.serve_api import ServeApi

DATABASE = "others_database"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[RayHead]:
    """A cluster that the stack didn't start. Its nodes know the project and nothing else of it."""
    claims = PortClaims()
    home = Home.at(tmp_path / "cluster").create()
    head = RayHead(home, dict(os.environ), claims)
    api = ServeApi(head.dashboard_url, home.secret("ray-token"))
    head.launch()
    try:
        head.wait(api.ready)
        yield head
    finally:
        running = head.ref
        if running is not None:
            end_processes(tree([psutil.Process(running.pid)]), grace=1.0)
        head.forget()
        api.close()
        remove_temporary([str(head.temporary)])
        claims.close()


@pytest.fixture
def joined(
    cluster: RayHead,
    postgres_server: EmbeddedPostgres,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Stack]:
    document = yaml.safe_load((root() / "serve.yaml").read_text(encoding="utf-8"))
    claims = PortClaims()
    document["http_options"] |= {"host": "127.0.0.1", "port": claims.take()}
    claims.close()
    (tmp_path / "serve.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    home = Home.at(tmp_path / "home")
    asyncio.run(make_database(postgres_server))
    for name, value in {
        "WEBNOVA_HOME": home.root,
        "WEBNOVA_DATABASE_URL": url_of(postgres_server),
        "WEBNOVA_RAY_ADDRESS": cluster.address,
        "WEBNOVA_SERVE_CONFIG": tmp_path / "serve.yaml",
        "RAY_API_SERVER_ADDRESS": cluster.dashboard_url,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": cluster.home.ray_token_file,
        # The cluster keeps to the loopback interface, and so must whoever joins it.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    }.items():
        monkeypatch.setenv(name, str(value))
    stack = Stack(home)
    stack.up()
    yield stack
    stack.down()


def test_a_platform_is_built_on_a_joined_cluster_and_database(
    joined: Stack, cluster: RayHead, postgres_server: EmbeddedPostgres
) -> None:
    status = joined.status()
    token = joined.home.first_token_file.read_text(encoding="utf-8").strip()
    with Client(status.url, token) as client:
        succeeded(client, client.create(blueprint=small("joined")).run)
        platform = client.platform("joined")
        assert httpx.get(f"{platform.url}health").status_code == 200
    assert not joined.home.postgres_data.exists(), "a server of its own was started"
    assert asyncio.run(released(postgres_server)) == 1
    joined.down()
    assert cluster.poll(), "the cluster is not the stack's to stop"


def url_of(server: EmbeddedPostgres) -> str:
    return f"{server.admin_url.reveal().rpartition('/')[0]}/{DATABASE}"


async def make_database(server: EmbeddedPostgres) -> None:
    connection = await asyncpg.connect(server.admin_url.reveal())
    try:
        await connection.execute(f"CREATE DATABASE {DATABASE}")
    finally:
        await connection.close()


async def released(server: EmbeddedPostgres) -> int:
    """How many releases the events in the joined database tell of."""
    connection = await asyncpg.connect(url_of(server))
    try:
        count = "SELECT count(*) FROM webnova.events WHERE type = 'platform.released'"
        return int(await connection.fetchval(count))
    finally:
        await connection.close()
