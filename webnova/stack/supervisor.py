"""The stack's parent process: `python -m webnova.stack.supervisor --home DIRECTORY`.

It owns Postgres and the Ray head, starts them again when they die, and takes everything down in
order on SIGTERM or SIGINT. On Linux it adopts every orphan among its descendants, so that nothing
that the stack ever started can outlive it. One supervisor runs per home (a lock says which).
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import psutil  # type: ignore[import-untyped]
import structlog

from engine.kernel.errors import Unavailable, WebNovaError
from engine.kernel.secret import Secret
from storage.bootstrap import DatabaseUrls
from webnova.logging import configure_logging
from webnova.stack.database import prepare_database, role_urls, through_pooler
from webnova.stack.home import Home, Settings
from webnova.stack.locks import OTHER_SUPERVISOR, take_lock
from webnova.stack.postgres import EmbeddedPostgres
from webnova.stack.processes import ProcessRef, tree
from webnova.stack.ray_head import MARK, PROJECT_ROOT, discard_control_data, keep_last_logs
from webnova.stack.remains import clean, embedded_postgres, end_processes, remove_temporary
from webnova.stack.serving import Cluster, JoinedCluster, OwnCluster
from webnova.stack.state import StackState, Step, StepState, load_state

_log = structlog.get_logger("webnova.supervisor")

_PULSE_S = 0.5
_START_ATTEMPTS = 5
_CALM_S = 60.0
_LONGEST_PAUSE_S = 30.0
_ACTORS_TIMEOUT_S = 120.0
_PR_SET_CHILD_SUBREAPER = 36


class Stop(BaseException):
    """Somebody asked the supervisor to stop."""


class Supervisor:
    """Brings one stack up, keeps it up, and takes it down. `run()` returns the exit code."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.home = settings.home
        own = ProcessRef.of(os.getpid())
        assert own is not None
        self.state = StackState(instance=secrets.token_hex(8), supervisor=own)
        self.postgres: EmbeddedPostgres | None = None
        self.cluster: Cluster | None = None
        self._served = False
        self._due: dict[str, float] = {}
        self._since: dict[str, float] = {}

    def run(self) -> int:
        failed = False
        try:
            self.save()
            self._start()
            self._watch()
        except Stop:
            _log.info("stopping")
        except (WebNovaError, OSError, subprocess.SubprocessError, psutil.Error) as error:
            failed = True
            _log.error("the stack did not start", error=str(error), exc_info=True)
            self._record_failure(error)
        finally:
            _ignore_signals()
            self._take_down(failed)
        return 1 if failed else 0

    def save(self) -> None:
        self.state.save(self.home.stack_file)

    # -- up -----------------------------------------------------------------------------------

    def _start(self) -> None:
        with self._step("database"):
            admin = self._start_postgres()
            urls = role_urls(admin, self.home.secrets)
            if self.settings.database_pooler is not None:
                urls = through_pooler(urls, self.settings.database_pooler)
        with _undisturbed():
            self.cluster = self._make_cluster(urls)
            self.cluster.launch()
            self._note_cluster()
        with self._step("schema"):
            prepare_database(admin, self.home.secrets)
        with self._step("ray"):
            self._await_cluster()
        self._deploy()
        self.state.phase = "running"
        self.save()
        _log.info("running", port=self.state.http_port)

    def _await_cluster(self) -> None:
        """Wait for the head; Ray gives a start up after 30 s, which a busy machine may need."""
        assert self.cluster is not None
        for left in reversed(range(_START_ATTEMPTS)):
            try:
                self.cluster.wait()
            except Unavailable:
                if not left or not self.cluster.died():
                    raise
                _log.warning("Ray ended while it was starting; once more")
                self._relaunch()
            else:
                return

    def _relaunch(self) -> None:
        assert self.cluster is not None
        end_processes(self._descendants(), grace=0.0)
        self.cluster.forget()
        self.cluster.launch()
        self._note_cluster()

    def _start_postgres(self) -> Secret:
        if self.settings.database_url is not None:
            return self.settings.database_url
        self.postgres = embedded_postgres(self.home)
        self.postgres.start()
        self._note_postgres()
        return self.postgres.admin_url

    def _make_cluster(self, urls: DatabaseUrls) -> Cluster:
        variables = {
            "WEBNOVA_HOME": str(self.home.root),
            "WEBNOVA_DATABASE_URL_APP": urls.app.reveal(),
            "WEBNOVA_DATABASE_URL_WORKER": urls.worker.reveal(),
            "WEBNOVA_DATABASE_URL_ERASER": urls.eraser.reveal(),
            "WEBNOVA_LOG_FORMAT": self.settings.log_format,
            MARK: self.state.instance,
        }
        if self.settings.ray_address is not None:
            return JoinedCluster(self.settings, variables)
        return OwnCluster(self.settings, variables)

    def _deploy(self) -> None:
        """Serve and the core actors, side by side. Also after the head has come back."""
        assert self.cluster is not None
        self._served = False
        self.cluster.deploy()
        actors = self._start_actors()
        try:
            with self._step("serve"):
                self.cluster.wait_served()
            with self._step("actors") as step:
                if actors is None:
                    step.state = "skipped"
                elif actors.wait(_ACTORS_TIMEOUT_S) != 0:
                    raise Unavailable(
                        "The core actors did not start.",
                        mend="actors.log in the logs directory of the home says why.",
                    )
        finally:
            if actors is not None and actors.poll() is None:
                actors.kill()
                actors.wait()
        self._served = True

    def _start_actors(self) -> subprocess.Popen[bytes] | None:
        assert self.cluster is not None
        if not self.settings.core_actors:
            return None
        with (self.home.logs / "actors.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "actors.start"],
                cwd=PROJECT_ROOT,
                env=self.cluster.client_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @contextlib.contextmanager
    def _step(self, name: str) -> Iterator[Step]:
        """Record beginning, end and duration of a step where `up` can see them."""
        step = Step(name=name, state="started")
        self.state.steps = [other for other in self.state.steps if other.name != name] + [step]
        self.save()
        began = time.monotonic()
        end: StepState = "failed"
        try:
            yield step
            end = "skipped" if step.state == "skipped" else "done"
        finally:
            step.state = end
            step.seconds = round(time.monotonic() - began, 3)
            self.save()

    def _note_postgres(self) -> None:
        if self.postgres is not None:
            self.state.postgres = self.postgres.ref
            self.state.postgres_port = self.postgres.port
            self.save()

    def _note_cluster(self) -> None:
        if self.cluster is not None:
            self.state.ray = self.cluster.ref
            self.state.ray_address = self.cluster.address
            self.state.dashboard_url = self.cluster.dashboard_url
            self.state.http_port = self.cluster.http_port
            self.state.public_url = self.cluster.public_url
            self.state.ingress = self.cluster.ingress
            self.state.temporary = self.cluster.temporary
            self.save()

    def _record_failure(self, error: Exception) -> None:
        if isinstance(error, WebNovaError):
            self.state.failure, self.state.mend = error.detail, error.mend or ""
        else:
            self.state.failure = f"The stack did not start: {type(error).__name__}."
            self.state.mend = "supervisor.log in the logs directory of the home says why."

    # -- watching -----------------------------------------------------------------------------

    def _watch(self) -> None:
        while True:
            time.sleep(_PULSE_S)
            self._reap_orphans()
            if self.postgres is not None and not self.postgres.poll():
                self._revive("postgres", self._revive_postgres)
            if self.cluster is not None and self.cluster.died():
                self._revive("ray", self._revive_cluster)
            elif not self._served:
                self._revive("serve", self._deploy)

    def _revive(self, name: str, start: Callable[[], None]) -> None:
        """Start a part that died, later each time until it has been calm for a while."""
        now = time.monotonic()
        if now - self._since.get(name, now) > _CALM_S:
            self.state.restarts[name] = 0
        self._since[name] = now
        if now < self._due.get(name, 0.0):
            return
        count = self.state.restarts.get(name, 0) + 1
        self.state.restarts[name] = count
        self._due[name] = now + min(_LONGEST_PAUSE_S, 0.5 * 2.0**count)
        _log.warning("starting again", part=name, count=count)
        try:
            start()
            _log.info("came back", part=name)
        except (WebNovaError, OSError, subprocess.SubprocessError) as error:
            _log.error("could not be started again", part=name, error=str(error))

    def _revive_postgres(self) -> None:
        assert self.postgres is not None
        self.postgres.start()
        self._note_postgres()

    def _revive_cluster(self) -> None:
        assert self.cluster is not None
        self._relaunch()
        self.cluster.wait()
        self._deploy()

    def _descendants(self) -> list[psutil.Process]:
        """All that descends from this process, without Postgres."""
        server = self.postgres.ref if self.postgres is not None else None
        kept: set[int] = {os.getpid()}
        if server is not None and (process := server.process()) is not None:
            kept.update(member.pid for member in tree([process]))
        return [part for part in tree([psutil.Process()]) if part.pid not in kept]

    def _reap_orphans(self) -> None:
        """Collect the exit of adopted children; those we started are collected by their owner."""
        owned = {ref.pid for ref in (self.state.postgres, self.state.ray) if ref is not None}
        for child in psutil.Process().children():
            with contextlib.suppress(psutil.Error, ChildProcessError):
                if child.pid not in owned and child.status() == psutil.STATUS_ZOMBIE:
                    os.waitpid(child.pid, os.WNOHANG)

    # -- down ---------------------------------------------------------------------------------

    def _take_down(self, failed: bool) -> None:
        self.state.phase = "stopping"
        self.save()
        if self.cluster is not None:
            self.cluster.withdraw()
        end_processes(self._descendants(), grace=1.0)
        # A process may have been started while the others ended.
        end_processes(self._descendants(), grace=0.0)
        if self.cluster is not None:
            remove_temporary(self.cluster.temporary)
            self.cluster.close()
            self.cluster.forget()
        if self.postgres is not None:
            self.postgres.stop()
        self._reap_orphans()
        keep_last_logs(self.home)
        discard_control_data(self.home)
        if failed:
            self.state.phase = "failed"
            self.save()
        else:
            self.home.stack_file.unlink(missing_ok=True)
        _log.info("stopped")


def adopt_orphans() -> None:
    """Become the parent of descendants that lose theirs (Linux; elsewhere init does)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Hold signals back while something is made that must be known before it can be undone."""
    signals = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)


def _raise_stop(number: int, frame: FrameType | None) -> None:
    _ignore_signals()
    raise Stop


def _ignore_signals() -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def main() -> int:
    parser = argparse.ArgumentParser(description="Keeps one local stack running.")
    parser.add_argument("--home", required=True, type=Path)
    home = Home.at(parser.parse_args().home).create()
    settings = Settings.from_environment({**os.environ, "WEBNOVA_HOME": str(home.root)})
    configure_logging("json")
    lock = take_lock(home)
    if lock is None:
        _log.error("another supervisor runs for this home")
        return OTHER_SUPERVISOR
    with lock:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, _raise_stop)
        adopt_orphans()
        try:
            clean(home, load_state(home.stack_file))
        except Stop:
            return 0
        return Supervisor(settings).run()


if __name__ == "__main__":
    sys.exit(main())
