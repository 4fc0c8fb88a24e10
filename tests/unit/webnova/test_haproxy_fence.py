from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from webnova.stack import haproxy_fence
from webnova.stack.haproxy_fence import ERROR_ANSWER, fence

CONFIGURATION = """\
global
    stats socket /run/admin.sock mode 666 level admin expose-fd listeners
    maxconn 4096
defaults
    mode http
    errorfile 502 /run/500.http
    errorfile 503 /run/500.http
frontend prometheus
    bind :9101
    mode http
    http-request use-service prometheus-exporter if { path /metrics }
    no log
frontend http_frontend
    bind *:8000
    acl healthcheck path -i /-/healthz
frontend grpc_frontend
    bind 10.1.2.3:9000 proto h2
backend api
    server one 127.0.0.1:30000 check
listen stats
  bind *:8404
  stats enable
  stats uri /stats
"""


def test_only_the_application_is_left_and_only_on_loopback() -> None:
    lines = [line.strip() for line in fence(CONFIGURATION, "/e/503.http").splitlines()]
    binds = [line for line in lines if line.startswith("bind")]
    assert binds == ["bind 127.0.0.1:8000", "bind 127.0.0.1:9000 proto h2"]
    assert "frontend prometheus" not in lines
    assert "listen stats" not in lines
    assert not any("9101" in line or "8404" in line or "/stats" in line for line in lines)
    assert "server one 127.0.0.1:30000 check" in lines
    assert "acl healthcheck path -i /-/healthz" in lines


def test_deadline_headers_of_clients_are_removed_in_every_frontend() -> None:
    fenced = fence(CONFIGURATION, "/e/503.http")
    assert fenced.count("http-request del-header x-request-timeout-seconds") == 2
    assert fenced.count("http-request del-header x-request-disconnect-disabled") == 2


def test_errors_of_the_proxy_are_ours() -> None:
    fenced = fence(CONFIGURATION, "/e/503.http")
    assert "errorfile 503 /e/503.http" in fenced
    assert "/run/500.http" not in fenced
    head, _, body = ERROR_ANSWER.partition("\r\n\r\n")
    assert "503" in head.splitlines()[0]
    assert "Retry-After: 1" in head
    assert '"status":503' in body


def test_fencing_twice_opens_nothing() -> None:
    once = fence(CONFIGURATION, "/e/503.http")
    twice = fence(once, "/e/503.http")
    assert "bind *" not in twice
    assert "bind 127.0.0.1:8000" in twice


@pytest.mark.parametrize("line", ["bind fd@3", "bind /run/open.sock mode 666", "bind *:80-90"])
def test_a_listener_of_unknown_form_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="unknown listener"):
        fence(f"frontend http_frontend\n    {line}\n", "/e")


def test_program_fences_the_file_and_becomes_haproxy(tmp_path: Path) -> None:
    configuration = tmp_path / "haproxy.cfg"
    configuration.write_text(CONFIGURATION)
    program = tmp_path / "haproxy"
    program.write_text('#!/bin/sh\necho "$$ $*"\n')
    program.chmod(0o755)
    process = subprocess.Popen(
        [
            *(sys.executable, "-I", haproxy_fence.__file__, str(program), "/e/503.http"),
            *("-db", "-f", str(configuration), "-sf", "7"),
        ],
        stdout=subprocess.PIPE,
        text=True,
        env={"PATH": os.environ["PATH"]},
    )
    output, _ = process.communicate(timeout=30)
    assert output == f"{process.pid} -db -f {configuration} -sf 7\n"
    assert "bind 127.0.0.1:8000" in configuration.read_text()
