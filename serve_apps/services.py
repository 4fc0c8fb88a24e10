"""What the routes of one process work with, handed to them through the application's state."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import HTTPConnection

from serve_apps.events import Streams
from serve_apps.ports import Gateway
from serve_apps.preview import Previews
from webnova.compose import Installation


@dataclass(frozen=True, slots=True)
class Services:
    """`public_url` is the address that people reach this installation at, without a slash at its
    end; None: the one that each request was sent to."""

    installation: Installation
    gateway: Gateway
    streams: Streams
    previews: Previews
    public_url: str | None
    version: str

    def base_url(self, request: HTTPConnection) -> str:
        if self.public_url is not None:
            return self.public_url
        host = request.headers.get("host") or request.url.netloc
        return f"{request.scope['scheme']}://{host}"


def services_of(connection: HTTPConnection) -> Services:
    found = connection.app.state.services
    assert isinstance(found, Services)
    return found
