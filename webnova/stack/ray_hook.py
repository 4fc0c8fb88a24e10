"""Called by `ray start` (environment variable RAY_START_HOOK) before it starts anything."""

from __future__ import annotations

from typing import Any


def configure(parameters: Any, head: bool) -> None:
    """Leave out the Ray Client server: nothing uses it, and it has no switch of its own."""
    parameters.ray_client_server_port = None
