"""A PgBouncer in transaction mode for tests, with one server connection for each role."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.kernel.secret import Secret
from webnova.stack.accounts import service_account
from webnova.stack.ports import LOOPBACK, free_port, is_listening

CONFIGURATION = """\
[databases]
* = host={host} port={server_port}
[pgbouncer]
listen_addr = {host}
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = users.txt
pool_mode = transaction
default_pool_size = 1
max_client_conn = 200
admin_users = webnova_owner
"""


def program() -> str:
    """The path of PgBouncer; skips the test where there is none."""
    found = shutil.which(
        "pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
    )
    if found is None:
        pytest.skip("pgbouncer is not installed on this machine")
    return found


@contextmanager
def pgbouncer(directory: Path, server_port: int, passwords: Mapping[str, Secret]) -> Iterator[str]:
    """A pooler before the server on this port, for these roles; gives its `host:port`."""
    binary = program()
    directory.mkdir(mode=0o700)
    port = free_port(None)
    users = "".join(f'"{role}" "{each.reveal()}"\n' for role, each in passwords.items())
    text = CONFIGURATION.format(host=LOOPBACK, port=port, server_port=server_port)
    account = service_account(directory)  # as Postgres, it refuses to run as root
    for name, content in (("users.txt", users), ("pgbouncer.ini", text)):
        (directory / name).write_text(content)
        if account is not None:
            os.chown(directory / name, account.uid, account.gid)
    if account is not None:
        os.chown(directory, account.uid, account.gid)
    identity = {} if account is None else {"user": account.uid, "group": account.gid}
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [binary, "pgbouncer.ini"], cwd=directory, stdout=log, stderr=log, **identity
        )
    try:
        _await_listening(process, port, directory / "log")
        yield f"{LOOPBACK}:{port}"
    finally:
        process.terminate()
        process.wait(10)


def _await_listening(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    for _ in range(500):
        if is_listening(port):
            return
        assert process.poll() is None, log.read_text()
        time.sleep(0.02)
    raise AssertionError(log.read_text())
