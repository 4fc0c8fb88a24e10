"""Running in namespaces of its own with bubblewrap."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
from asyncio import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from engine.runtime.sandbox import enclosure, tree
from engine.runtime.sandbox.cgroup import TaskGroup
from engine.runtime.sandbox.execution import Breach, Execution, Outcome, Started, uninterrupted
from engine.runtime.sandbox.scratch import remove_abandoned, scratch_directory
from engine.runtime.sandbox.spec import OutputSink, SandboxResult, SandboxSpec

_TITLE = "webnova-sandbox-of-"
_UID = 65534
_SHARED_MEMORY_BYTES = 64 << 20
_PROBE_S = 10.0
_GRACE_S = 5.0
_SETTLE_S = 0.001
_TOP = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_ETC = (
    "alternatives",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "mime.types",
    "ssl/certs",
    "ssl/openssl.cnf",
    "pki/tls/certs",
    "ca-certificates",
)
_FILES = {
    "/etc/passwd": f"sandbox:x:{_UID}:{_UID}:sandbox:/tmp:/bin/sh\n",
    "/etc/group": f"sandbox:x:{_UID}:\n",
    "/etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}
_PRLIMIT = {
    "RLIMIT_DATA": "--data",
    "RLIMIT_FSIZE": "--fsize",
    "RLIMIT_CORE": "--core",
    "RLIMIT_NOFILE": "--nofile",
    "RLIMIT_MEMLOCK": "--memlock",
    "RLIMIT_CPU": "--cpu",
}


def _system() -> list[str]:
    """The read-only system: programs, libraries, and of /etc only what programs need to run."""
    options = ["--ro-bind", "/usr", "/usr"]
    for name in _TOP:
        path = Path("/", name)
        if path.is_symlink():
            options += ["--symlink", os.readlink(path), str(path)]
        elif path.is_dir():
            options += ["--ro-bind", str(path), str(path)]
    for name in _ETC:
        options += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    return options


def _mounts(spec: SandboxSpec) -> list[str]:
    """The spec's own paths, outer ones first so that none hides another."""
    modes = dict.fromkeys(spec.read_only, "--ro-bind")
    modes |= dict.fromkeys((*spec.read_write, spec.cwd), "--bind")
    options: list[str] = []
    for path in sorted(modes, key=lambda path: len(path.parts)):
        options += [modes[path], str(path), str(path)]
    return options


def _options(spec: SandboxSpec, files: dict[str, int]) -> list[str]:
    """All options of bubblewrap; `files` are descriptors to copy to the given paths."""
    limits = spec.limits
    options = ["--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc"]
    options += ["--unshare-uts", "--unshare-cgroup-try", "--disable-userns"]
    options += ["--uid", str(_UID), "--gid", str(_UID), "--hostname", "sandbox"]
    options += ["--cap-drop", "ALL", "--die-with-parent", "--new-session"]
    options += _system()
    # The system's settings below /proc/sys belong to root, capabilities or not, so a platform that
    # runs as root must not leave them writable.
    options += ["--proc", "/proc", "--remount-ro", "/proc", "--dev", "/dev"]
    shared = min(_SHARED_MEMORY_BYTES, limits.memory_bytes)
    options += ["--size", str(shared), "--tmpfs", "/dev/shm", "--remount-ro", "/dev"]
    options += ["--perms", "1777", "--size", str(limits.file_bytes), "--tmpfs", "/tmp"]
    for path, descriptor in files.items():
        options += ["--ro-bind-data", str(descriptor), path]
    options += _mounts(spec)
    options += ["--remount-ro", "/", "--chdir", str(spec.cwd), "--clearenv"]
    for name, value in enclosure.environment(spec, "/tmp").items():
        options += ["--setenv", name, value]
    return options


def _limited(spec: SandboxSpec) -> list[str]:
    """The command inside: waits for a line, sets the kernel's limits on itself, and becomes the
    program. It ends without one, so a platform that dies before it sends it starts no program.

    The limit on tasks must be set in there. The kernel counts them per user and user namespace, and
    one that is set outside would count all that the platform's user runs.
    """
    limits = enclosure.kernel_limits(spec.limits)
    options = [f"{_PRLIMIT[name]}={value}:{value}" for name, value in limits.items()]
    options.append(f"--nproc={enclosure.kernel_tasks(spec.limits)}")
    script = 'read -r _ && exec "$0" "$@"' + (" </dev/null" if spec.stdin is None else "")
    return [
        "/bin/sh",
        "-c",
        script,
        shutil.which("prlimit") or "prlimit",
        *options,
        "--",
        *spec.argv,
    ]


class _Wrapped(Started):
    """A program in its namespaces. `root` is their first process: with it ends everything."""

    def __init__(
        self,
        process: subprocess.Process,
        root: int | None,
        status: _Status,
        group: TaskGroup | None,
    ) -> None:
        self.process, self.root = process, process.pid if root is None else root
        self._status, self._group = status, group
        self._birth = tree.start_time(self.root)

    async def release(self, *, in_background: bool) -> None:
        """Let the program begin, once it is bound to the group and to our life.

        The first process asks to die with us right after it has started the second, the waiting
        one, and right before it waits itself.
        """
        while not (tree.children(self.root) and tree.is_waiting(self.root)):
            if self.process.returncode is not None or tree.start_time(self.root) != self._birth:
                return
            await asyncio.sleep(_SETTLE_S)
        for pid in (self.root, *tree.children(self.root)):
            if self._group is not None:
                with contextlib.suppress(ProcessLookupError):
                    self._group.add(pid)
            if in_background:
                tree.yield_to_others(pid)
        assert self.process.stdin is not None
        self.process.stdin.write(b"go\n")

    def exit_code(self) -> int | None:
        # Bubblewrap reports an exit code only if it came as far as to start the program.
        return super().exit_code() if "exit-code" in self._status.found else None

    async def wait(self) -> int | None:
        await self.process.wait()
        await self._status.ended()
        return self.exit_code()

    async def end(self) -> None:
        if self._birth is not None and tree.start_time(self.root) == self._birth:
            tree.send([self.root], signal.SIGKILL)
        if self.process.returncode is None:
            try:
                # It reaps the first process of the namespaces and reports how that ended.
                await asyncio.wait_for(self.process.wait(), _GRACE_S)
            except TimeoutError:
                self.process.kill()
                await self.process.wait()
        await self._status.ended()
        if self._group is not None:
            await self._group.remove()


class _Status:
    """What bubblewrap reports about itself: JSON objects, one per line, until it ends."""

    def __init__(self) -> None:
        self._reading, self.writing = os.pipe()
        self.found: dict[str, Any] = {}
        self._reader = asyncio.StreamReader()
        self._rest: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def releasing(self) -> Iterator[None]:
        """Leave the writing end to the child alone, and the pipe to nobody if it isn't started."""
        try:
            yield
        except BaseException:
            os.close(self._reading)
            raise
        finally:
            os.close(self.writing)

    async def first(self) -> int | None:
        """The pid of the first process in the namespaces; None if there is none."""
        pipe = os.fdopen(self._reading, "rb", buffering=0)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(self._reader), pipe
        )
        await self._next()
        self._rest = asyncio.create_task(self._read_rest(transport))
        pid = self.found.get("child-pid")
        return pid if isinstance(pid, int) else None

    async def _next(self) -> bool:
        line = await self._reader.readline()
        if line.strip():
            self.found.update(json.loads(line))
        return bool(line)

    async def _read_rest(self, transport: asyncio.ReadTransport) -> None:
        try:
            while await self._next():
                continue
        finally:
            transport.close()

    async def ended(self) -> None:
        """Returns when all is read and every holder of the pipe is gone."""
        if self._rest is not None:
            await asyncio.shield(self._rest)


@contextlib.contextmanager
def _on_error(undo: Callable[[], None] | None) -> Iterator[None]:
    try:
        yield
    except BaseException:
        if undo is not None:
            with contextlib.suppress(ProcessLookupError):
                undo()
        raise


def _end_abandoned() -> None:
    """End enclosures whose platform died in the instant in which it made them.

    Bubblewrap's second process waits for a word from the first, and for ever if that one is killed
    before. It holds nothing and runs nothing, but it would stay.
    """
    for pid, title in tree.titles(_TITLE):
        maker = title.removeprefix(_TITLE)
        if maker.isdigit() and not tree.exists(int(maker)):
            tree.send([pid], signal.SIGKILL)


class BubblewrapDriver:
    """Own user, process, network, IPC, host-name and mount namespaces, no capabilities.

    The program sees the system's programs and libraries and the spec's paths read-only, a private
    `/tmp` and `/dev/shm` in memory, and its working directory. Its network has a loopback interface
    of its own and nothing else: not even the host's loopback can be reached. It runs as `nobody`,
    and everything ends when the first process of its namespace does.

    The kernel exempts root's own tasks from RLIMIT_NPROC. When the platform runs as root, a control
    group bounds their number instead; where none can be made, results list it as unenforced.

    If the platform is killed in the very instant of a start, an empty enclosure may be left, in
    which no program runs; the next driver removes it.
    """

    name = "bubblewrap"
    isolated = True

    def __init__(self) -> None:
        self._program = shutil.which("bwrap")
        self._known: tuple[str | None] | None = None

    async def available(self) -> str | None:
        if self._known is None:
            self._known = (await self._try(),)
        return self._known[0]

    async def _try(self) -> str | None:
        if self._program is None:
            return "bubblewrap is not installed. Install the package `bubblewrap`."
        if shutil.which("prlimit") is None:
            return "`prlimit` is missing. Install the package `util-linux`."
        _end_abandoned()
        remove_abandoned()
        directory = scratch_directory()
        try:
            spec = SandboxSpec(argv=("true",), cwd=directory)
            ended = await asyncio.wait_for(self._finish(spec, None), _PROBE_S)
        except TimeoutError:
            return "bubblewrap does not answer. Try `bwrap --unshare-all --ro-bind / / true`."
        finally:
            directory.rmdir()
        if ended.failure is None:
            return None
        return (
            "bubblewrap can't make namespaces here. Allow unprivileged user namespaces, and in a "
            f"container run it with an unmasked /proc. It said: {ended.stderr.strip()[:300]}"
        )

    async def start(self, spec: SandboxSpec) -> Started:
        """Start the program; the caller ends it. Raises `InvalidInput` for a missing path."""
        enclosure.check_paths(spec)
        return await uninterrupted(self._start(spec))

    async def _start(self, spec: SandboxSpec) -> Started:
        status = _Status()
        group = enclosure.task_group(spec.limits)
        with _on_error(group.discard if group else None):
            process = await self._spawn(spec, status)
        wrapped = _Wrapped(process, await status.first(), status, group)
        await wrapped.release(in_background=spec.priority == "background")
        return wrapped

    async def _spawn(self, spec: SandboxSpec, status: _Status) -> subprocess.Process:
        assert self._program is not None
        with ExitStack() as stack:
            files = {
                path: stack.enter_context(enclosure.inherited(text.encode())).fileno()
                for path, text in _FILES.items()
            }
            options = _options(spec, files)
            text = "".join(option + "\0" for option in options)
            arguments = stack.enter_context(enclosure.inherited(os.fsencode(text))).fileno()
            stack.enter_context(status.releasing())
            return await asyncio.create_subprocess_exec(
                f"{_TITLE}{os.getpid()}",
                *("--json-status-fd", str(status.writing)),
                *("--args", str(arguments)),
                "--",
                *_limited(spec),
                executable=self._program,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={},
                cwd="/",
                pass_fds=(*files.values(), arguments, status.writing),
                start_new_session=True,
            )

    async def _finish(self, spec: SandboxSpec, sink: OutputSink | None) -> Outcome:
        return await Execution(await self.start(spec), spec, sink).finish()

    async def run(self, spec: SandboxSpec, *, on_output: OutputSink | None = None) -> SandboxResult:
        if (reason := await self.available()) is not None:
            failure = Breach("internal", reason)
            outcome = Outcome(None, failure, stdout="", stderr="", duration_s=0.0)
            return outcome.report(self, ([], []))
        outcome = await self._finish(spec, on_output)
        return outcome.report(self, enclosure.bounds(spec.limits, isolated=True))
