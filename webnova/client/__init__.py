"""The Python client of WebNova's HTTP API, in a blocking and an asynchronous form."""

from __future__ import annotations

from webnova.client.asynchronous import AsyncClient
from webnova.client.location import Location, locate
from webnova.client.retrying import Patience
from webnova.client.synchronous import Client

__all__ = ["AsyncClient", "Client", "Location", "Patience", "locate"]
