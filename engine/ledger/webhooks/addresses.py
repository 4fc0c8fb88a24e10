"""Where webhooks may be sent to: not to what only this machine or its network can reach.

A tenant chooses the address, and the installation makes the request. Without a bound it would ask
for the tenant what the tenant can't ask for itself (server-side request forgery).
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from engine.kernel.errors import InvalidInput

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class AllowedNetworks:
    """Networks that may be reached although they are not public; plain HTTP is allowed there."""

    networks: tuple[Network, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """From a list such as `10.0.0.0/8, 127.0.0.1/32`. Raises `InvalidInput`."""
        try:
            return cls(
                tuple(
                    ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip()
                )
            )
        except ValueError as error:
            raise InvalidInput(
                f"{text!r} is no list of networks: {error}.",
                mend="Write WEBNOVA_WEBHOOK_NETWORKS as 10.0.0.0/8, 192.168.0.0/16.",
            ) from error

    def hold(self, address: str) -> bool:
        found = ipaddress.ip_address(address)
        return any(found in each for each in self.networks if each.version == found.version)

    async def resolve(self, url: str) -> str:
        """An address of the URL's host that may be reached. Raises `InvalidInput` when one of its
        addresses may not be, and `OSError` for a name that can't be resolved."""
        parts = checked(url)
        assert parts.hostname is not None
        loop = asyncio.get_running_loop()
        port = parts.port or (443 if parts.scheme == "https" else 80)
        found = await loop.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
        addresses = [str(each[4][0]).partition("%")[0] for each in found]
        self._check(parts.scheme, addresses)
        return addresses[0]

    def _check(self, scheme: str, addresses: Sequence[str]) -> None:
        for address in addresses:
            if self.hold(address):
                continue
            if not ipaddress.ip_address(address).is_global:
                raise InvalidInput(
                    "The address leads into a private network.",
                    mend="Use a public address, or let the administrator allow the network with "
                    "WEBNOVA_WEBHOOK_NETWORKS.",
                )
            if scheme != "https":
                raise InvalidInput(
                    "Webhooks go over HTTPS only.", mend="Write the address as https://…"
                )


def checked(url: str) -> _Parts:
    """The parts of a URL. Raises `InvalidInput` for one that webhooks can't be sent to."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise _no_url(url) from error
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise _no_url(url)
    if parts.username or parts.password or parts.fragment:
        raise InvalidInput(
            "The address holds a user, a password or a fragment.",
            mend="Leave them out: requests prove themselves by their signature.",
        )
    return _Parts(parts.scheme, parts.hostname, port)


@dataclass(frozen=True, slots=True)
class _Parts:
    scheme: str
    hostname: str | None
    port: int | None


def _no_url(url: str) -> InvalidInput:
    return InvalidInput(
        f"{url[:100]!r} is no address for webhooks.", mend="Write it as https://host/path."
    )
