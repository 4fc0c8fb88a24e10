"""Sandboxes: run a program under limits, isolated where the machine can."""

from __future__ import annotations

from engine.kernel.errors import Unavailable
from engine.kernel.plugins import Registry
from engine.runtime.sandbox.bubblewrap import BubblewrapDriver
from engine.runtime.sandbox.execution import SandboxDriver
from engine.runtime.sandbox.interpreter import python_paths
from engine.runtime.sandbox.process import ProcessDriver
from engine.runtime.sandbox.spec import (
    Limits,
    OutputSink,
    SandboxResult,
    SandboxSpec,
    Verdict,
)

__all__ = [
    "BubblewrapDriver",
    "Limits",
    "OutputSink",
    "ProcessDriver",
    "SandboxDriver",
    "SandboxResult",
    "SandboxSpec",
    "Verdict",
    "choose_driver",
    "drivers",
    "python_paths",
]


async def choose_driver() -> SandboxDriver:
    """A driver that works on this machine, found by really running a program in it: an isolated
    one if there is any. `Unavailable` if none works."""
    reasons: list[str] = []
    for driver in sorted(drivers(), key=lambda driver: not driver.isolated):
        reason = await driver.available()
        if reason is None:
            return driver
        reasons.append(f"{driver.name}: {reason}")
    raise Unavailable(f"No sandbox works on this machine. {' '.join(reasons)}")


def drivers() -> list[SandboxDriver]:
    """Every registered driver, whether it works here or not, by name."""
    registry: Registry[SandboxDriver] = Registry("sandbox_drivers", SandboxDriver)  # type: ignore[type-abstract]
    return [registry.get(name) for name in registry]
