"""Released platforms as processes: where their files are, with what settings they start."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import shutil
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from engine.kernel.errors import StepFailed
from engine.kernel.secret import Secret
from engine.runtime.dependencies import DependencyCache
from engine.runtime.processes import ProcessSpec, Supervisor
from engine.runtime.sandbox import Limits, choose_driver
from engine.runtime.workspace import Bundle

LOCK = "requirements.lock"
SWITCH_S = 0.5
"""How long a replaced version still takes requests: gateways may know its address that long."""
LOG_READ = 256_000


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a platform starts with: the key that signs its sessions, and its first administrator."""

    signing_key: Secret
    admin_email: str
    admin_password: Secret


def credentials(key: Secret, tenant: str, name: str) -> Credentials:
    """The credentials of a platform, derived from the installation's key (HMAC, RFC 2104).

    The same key and names always give the same; nothing about the key follows from them.
    """

    def derive(purpose: str) -> str:
        subject = f"webnova/1/{purpose}/{tenant}/{name}".encode()
        return hmac.new(key.reveal().encode(), subject, hashlib.sha256).hexdigest()

    return Credentials(
        signing_key=Secret(derive("signing-key")),
        admin_email=f"admin@{name}.example.com",
        admin_password=Secret(derive("admin-password")[:24]),
    )


@dataclass(frozen=True, slots=True)
class Place:
    """The directories of one platform on this node."""

    root: Path

    @property
    def data(self) -> Path:
        return self.root / "data"

    def release(self, version: int) -> Path:
        return self.root / "releases" / f"v{version}"

    def log(self, version: int) -> Path:
        return self.root / "logs" / f"v{version}.log"


class PlatformHost:
    """Runs releases of platforms on this node; several versions of one may run at once.

    Belongs to one event loop. When this process dies, everything that it runs ends with it.
    """

    def __init__(self, home: Path, key: Secret) -> None:
        self._workspace = home / "workspace"
        self._cache = DependencyCache(home / "cache" / "environments")
        self._key = key
        self._supervisor: Supervisor | None = None
        self._running: dict[tuple[str, str], dict[int, str]] = defaultdict(dict)
        self._locks: dict[tuple[str, str], asyncio.Lock] = defaultdict(asyncio.Lock)

    async def launch(self, tenant: str, name: str, version: int, bundle: bytes) -> str:
        """Run a release and return its address once it is healthy; running already, the same.

        Raises `StepFailed` with the end of its log when it does not become healthy.
        """
        async with self._locks[tenant, name]:
            address = self.address(tenant, name, version)
            if address is not None:
                return address
            supervisor = await self._supervise()
            await self._stop(tenant, name, version)
            place = self.place(tenant, name)
            spec = await self._spec(place, tenant, name, version, bundle)
            instance = await supervisor.start(spec)
            self._running[tenant, name][version] = instance.id
            return instance.address

    def address(self, tenant: str, name: str, version: int) -> str | None:
        """Where a release answers, or None when it is not running or was given up."""
        id = self._running[tenant, name].get(version)
        if id is None or self._supervisor is None:
            return None
        instance = self._supervisor.get(id)
        return None if instance.state in ("failed", "stopped") else instance.address

    async def retire(self, tenant: str, name: str, keep: int) -> None:
        """Let the other versions of a platform finish their requests, then stop them."""
        others = [version for version in self._running[tenant, name] if version != keep]
        if others:
            await asyncio.sleep(SWITCH_S)
        async with self._locks[tenant, name]:
            await asyncio.gather(*(self._stop(tenant, name, version) for version in others))

    async def forget(self, tenant: str) -> None:
        """Stop everything of the tenant and remove its files from this node, logs and all."""
        for owner, name in list(self._running):
            if owner == tenant:
                await self.retire(tenant, name, keep=0)
        directory = self._workspace / tenant
        if directory.exists():
            await asyncio.to_thread(shutil.rmtree, directory)

    async def close(self) -> None:
        if self._supervisor is not None:
            await self._supervisor.close()

    def running(self) -> list[str]:
        """`tenant/platform@version` of everything that runs here."""
        return sorted(
            f"{tenant}/{name}@{version}"
            for (tenant, name), versions in self._running.items()
            for version in versions
        )

    def logs(self, tenant: str, name: str, offset: int) -> tuple[list[str], int]:
        """Whole lines of the newest version's log from a byte offset, and where to go on.

        A negative offset means the last lines there are. An offset beyond the end, as after a
        switch of versions or a rotation, starts from the beginning.
        """
        versions = self._running[tenant, name]
        if not versions:
            return [], 0
        path = self.place(tenant, name).log(max(versions, key=lambda each: versions[each]))
        size = path.stat().st_size if path.exists() else 0
        start = max(0, size - LOG_READ) if offset < 0 else offset if offset <= size else 0
        if size == start:
            return [], size
        with path.open("rb") as file:
            file.seek(start)
            data = file.read(LOG_READ)
        whole, newline, _ = data.rpartition(b"\n")
        if offset < 0 and start > 0:
            whole = whole.partition(b"\n")[2]
        lines = whole.decode(errors="replace").splitlines() if newline else []
        end = start + (data.rfind(b"\n") + 1)
        return lines, end

    def place(self, tenant: str, name: str) -> Place:
        return Place(self._workspace / tenant / name)

    async def _supervise(self) -> Supervisor:
        if self._supervisor is None:
            self._supervisor = Supervisor(await choose_driver())
        return self._supervisor

    async def _stop(self, tenant: str, name: str, version: int) -> None:
        id = self._running[tenant, name].pop(version, None)
        if id is not None and self._supervisor is not None:
            await self._supervisor.stop(id)

    async def _spec(
        self, place: Place, tenant: str, name: str, version: int, bundle: bytes
    ) -> ProcessSpec:
        files = await asyncio.to_thread(Bundle.unpack, bundle)
        if LOCK not in files.files:
            raise StepFailed("The bundle has no list of locked dependencies.")
        release = place.release(version)
        first = not place.data.exists()
        for directory in (release.parent, place.data):
            directory.mkdir(parents=True, exist_ok=True)
        await asyncio.to_thread(files.write_to, release)
        environment = await self._cache.ensure(files.files[LOCK].decode())
        made = credentials(self._key, tenant, name)
        return ProcessSpec(
            name=f"{name}-v{version}",
            argv=("/usr/bin/env", "UDS={socket}", str(environment.python), "-m", "app"),
            cwd=release,
            log_path=place.log(version),
            read_only=environment.read_only,
            read_write=(place.data,),
            limits=Limits(cpu_s=None, wall_s=None, memory_bytes=1 << 30, processes=64),
            env={
                "DATABASE_URL": f"sqlite:///{place.data}/platform.db",
                "APP_ENV": "local",
                "AUTO_MIGRATE": "1",
                "SEED": "1" if first else "0",
                "ROOT_PATH": f"/p/{tenant}/{name}",
                "JWT_SECRET": made.signing_key.reveal(),
                "ADMIN_EMAIL": made.admin_email,
                "ADMIN_PASSWORD": made.admin_password.reveal(),
                "PYTHONDONTWRITEBYTECODE": "1",
            },
        )
