"""INFERA WebNova: describe a platform, get it generated, tested and running.

`Client` and `AsyncClient` speak to an installation over HTTP; every error is a `WebNovaError`.
Importing this package loads nothing heavy: each name is fetched when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.kernel.errors import WebNovaError
    from webnova.client.asynchronous import AsyncClient
    from webnova.client.retrying import Patience
    from webnova.client.synchronous import Client

__all__ = ["AsyncClient", "Client", "Patience", "WebNovaError"]

_HOMES = {
    "AsyncClient": "webnova.client.asynchronous",
    "Client": "webnova.client.synchronous",
    "Patience": "webnova.client.retrying",
    "WebNovaError": "engine.kernel.errors",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
