"""The command line of WebNova. `webnova --help` lists the commands and the exit codes."""

from __future__ import annotations

from webnova.cli.app import main

__all__ = ["main"]
