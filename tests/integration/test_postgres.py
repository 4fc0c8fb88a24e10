from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest

from engine.kernel.errors import Unavailable
from storage.bootstrap import ROLES, bootstrap_database
from webnova.stack.database import role_passwords
from webnova.stack.ports import is_listening
from webnova.stack.postgres import EmbeddedPostgres


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    root = tmp_path_factory.mktemp("a place with spaces") / ("deep" * 20) / ("er" * 30)
    server = EmbeddedPostgres(root / "data", root / "secrets")
    server.start()
    yield server
    server.stop()


async def ask(url: str, query: str, *values: Any) -> Any:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query, *values)
    finally:
        await connection.close()


def shared_memory(pid: int) -> set[str]:
    """What the process has mapped or made: files of /dev/shm, and System V segments by their id.

    Other servers of the machine come and go meanwhile, so only this one's count.
    """
    maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
    files = {line.split()[5] for line in maps if "/dev/shm/" in line}
    rows = [row.split() for row in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]]
    return files | {f"segment {row[1]}" for row in rows if int(row[4]) == pid}


def still_there(memory: set[str]) -> set[str]:
    rows = Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
    segments = {f"segment {row.split()[1]}" for row in rows}
    return {each for each in memory if each in segments or Path(each).exists()}


async def test_only_loopback_and_only_with_the_password(server: EmbeddedPostgres) -> None:
    ref = server.ref
    assert ref is not None
    sockets = psutil.Process(ref.pid).net_connections(kind="all")
    listening = [item.laddr for item in sockets if item.status == psutil.CONN_LISTEN]
    assert [(item.ip, item.port) for item in listening] == [("127.0.0.1", server.port)]
    assert not [item for item in sockets if item.family.name == "AF_UNIX" and item.laddr]
    assert await ask(server.admin_url.reveal(), "SHOW fsync") == "on"
    assert await ask(server.admin_url.reveal(), "SHOW server_encoding") == "UTF8"
    for password in ("", "wrong"):
        with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
            await ask(
                f"postgresql://postgres:{password}@127.0.0.1:{server.port}/postgres", "SELECT 1"
            )
    rules = await ask(
        server.admin_url.reveal(),
        "SELECT array_agg(DISTINCT auth_method) FROM pg_hba_file_rules",
    )
    assert rules == ["scram-sha-256"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to change the account")
def test_root_does_not_run_the_server_as_root(server: EmbeddedPostgres) -> None:
    ref = server.ref
    assert ref is not None
    process = psutil.Process(ref.pid)
    assert process.uids().effective != 0
    assert process.gids().effective != 0
    status = Path(f"/proc/{ref.pid}/status").read_text()
    assert "CapEff:\t0000000000000000" in status


async def test_roles_are_neither_owner_nor_superuser(server: EmbeddedPostgres) -> None:
    passwords = role_passwords(server.secrets_dir)
    admin = server.admin_url.reveal()
    urls = await bootstrap_database(admin, passwords)
    again = await bootstrap_database(admin, passwords)
    assert again.app.reveal() == urls.app.reveal()
    for url in (urls.app.reveal(), urls.worker.reveal()):
        assert not await ask(
            url,
            "SELECT rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb "
            "FROM pg_roles WHERE rolname = current_user",
        )
        assert not await ask(url, "SELECT pg_has_role(current_user, 'webnova_owner', 'member')")
        for statement in (
            "CREATE TABLE public.t (a int)",
            "CREATE TEMP TABLE t (a int)",
            "CREATE SCHEMA s",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await ask(url, statement)
    await ask(urls.owner.reveal(), "CREATE TABLE mine (a vector(3), b text)")
    await ask(urls.owner.reveal(), "CREATE INDEX ON mine USING gin (b gin_trgm_ops)")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await ask(urls.app.reveal(), "SELECT count(*) FROM public.mine")


async def test_a_changed_password_is_put_right(server: EmbeddedPostgres) -> None:
    passwords = role_passwords(server.secrets_dir)
    admin = server.admin_url.reveal()
    await bootstrap_database(admin, passwords)
    await ask(admin, "ALTER ROLE webnova_app PASSWORD 'something else'")
    urls = await bootstrap_database(admin, passwords)
    assert await ask(urls.app.reveal(), "SELECT current_user") == "webnova_app"


async def test_an_administrator_without_superuser_can_bootstrap(server: EmbeddedPostgres) -> None:
    admin = server.admin_url.reveal()
    passwords = role_passwords(server.secrets_dir)
    await bootstrap_database(admin, passwords)  # roles exist already: the harder case
    await ask(admin, "CREATE ROLE operator LOGIN CREATEROLE CREATEDB PASSWORD 'operator-pw'")
    for role in ROLES:
        await ask(admin, f"GRANT {role} TO operator WITH ADMIN OPTION")
    await ask(admin, "CREATE DATABASE shared OWNER operator")
    for extension in ("vector", "pg_trgm"):
        await ask(f"{admin.rpartition('/')[0]}/shared", f"CREATE EXTENSION {extension}")
    url = f"postgresql://operator:operator-pw@127.0.0.1:{server.port}/shared"
    urls = await bootstrap_database(url, passwords)
    assert await ask(urls.app.reveal(), "SELECT current_database()") == "shared"
    await ask(urls.owner.reveal(), "CREATE TABLE mine (a int)")


async def test_an_unreachable_server_is_named_without_its_password() -> None:
    with pytest.raises(Unavailable) as caught:
        await bootstrap_database("postgresql://admin:hunter22@127.0.0.1:1/x", {})
    assert "hunter22" not in str(caught.value)
    assert "WEBNOVA_DATABASE_URL" in (caught.value.mend or "")


async def test_killed_server_comes_back_with_its_data(server: EmbeddedPostgres) -> None:
    admin, port = server.admin_url.reveal(), server.port
    await ask(admin, "CREATE TABLE IF NOT EXISTS kept AS SELECT 42 AS answer")
    ref = server.ref
    assert ref is not None
    os.kill(ref.pid, signal.SIGKILL)
    assert server._process is not None
    server._process.wait(10)
    assert not server.poll()
    server.start()
    assert server.port == port
    assert await ask(admin, "SELECT answer FROM kept") == 42


def test_stop_after_a_kill_gives_everything_back(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "data", tmp_path / "secrets")
    server.start()
    ref, port = server.ref, server.port
    assert ref is not None
    assert port is not None
    memory = shared_memory(ref.pid)
    assert still_there(memory)
    os.kill(ref.pid, signal.SIGKILL)
    EmbeddedPostgres(tmp_path / "data", tmp_path / "secrets").stop()
    assert server._process is not None
    server._process.wait(10)
    assert not still_there(memory)
    assert not is_listening(port)
    assert not (tmp_path / "data" / "postmaster.pid").exists()


def test_a_server_left_by_a_killed_launcher_is_replaced(tmp_path: Path) -> None:
    first = EmbeddedPostgres(tmp_path / "data", tmp_path / "secrets")
    first.start()
    second = EmbeddedPostgres(tmp_path / "data", tmp_path / "secrets")
    second.start()
    assert first._process is not None
    assert first._process.wait(10) == 0
    assert second.poll()
    second.stop()


def test_a_reused_pid_in_the_lock_file_does_not_block_the_start(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "data", tmp_path / "secrets")
    server.start()
    ref = server.ref
    assert ref is not None
    os.kill(ref.pid, signal.SIGKILL)
    assert server._process is not None
    server._process.wait(10)
    lock = tmp_path / "data" / "postmaster.pid"
    lines = lock.read_text().splitlines()
    owner = lock.stat()
    with subprocess.Popen(["sleep", "60"], user=owner.st_uid, group=owner.st_gid) as stranger:
        lock.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        server.start()
        assert server.poll()
        assert stranger.poll() is None
        server.stop()
        stranger.kill()


def test_an_interrupted_initialisation_leaves_no_half_a_cluster(tmp_path: Path) -> None:
    fresh = tmp_path / "data.new"
    fresh.mkdir()
    (fresh / "PG_VERSION").write_text("18\n")
    server = EmbeddedPostgres(tmp_path / "data", tmp_path / "secrets")
    server.start()
    assert server.poll()
    assert not fresh.exists()
    server.stop()


def test_data_of_another_release_are_refused(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    (data / "PG_VERSION").write_text("15\n")
    with pytest.raises(Unavailable, match="Postgres 15"):
        EmbeddedPostgres(data, tmp_path / "secrets").start()
