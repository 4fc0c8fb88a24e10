"""Sandboxes: run a program under limits, isolated where the machine can."""

from __future__ import annotations

from engine.runtime.sandbox.bubblewrap import BubblewrapDriver
from engine.runtime.sandbox.interpreter import python_paths
from engine.runtime.sandbox.process import ProcessDriver
from engine.runtime.sandbox.spec import (
    Limits,
    OutputSink,
    SandboxDriver,
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
    "python_paths",
]


async def choose_driver() -> BubblewrapDriver | ProcessDriver:
    """The strongest driver that works on this machine, found by really running a program in it."""
    bubblewrap = BubblewrapDriver()
    return bubblewrap if await bubblewrap.available() is None else ProcessDriver()
