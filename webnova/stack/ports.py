"""Choosing TCP ports that are free now, without two stacks choosing the same."""

from __future__ import annotations

import contextlib
import random
import socket
import sys

from engine.kernel.errors import Unavailable

LOOPBACK = "127.0.0.1"
ALL_INTERFACES = "0.0.0.0"

# Below the range that the kernel gives to outgoing connections, which would take a port between
# its choice and its use, and below the range of Serve's replicas (30000 to 31000).
_RANGE = range(20000, 29900)
_ATTEMPTS = 500


def is_free(port: int) -> bool:
    """Whether nobody listens on `port`, neither on loopback nor on all interfaces."""
    for address in (LOOPBACK, ALL_INTERFACES):
        with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
            # As servers do: connections that linger after a stop don't make a port taken.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError:
                return False
    return True


def is_listening(port: int, host: str = LOOPBACK, timeout: float = 0.5) -> bool:
    """Whether somebody accepts connections on `port`. `timeout` in seconds."""
    try:
        with socket.create_connection((host, port), timeout=timeout):
            return True
    except OSError:
        return False


def free_port(preferred: int | None = None) -> int:
    """`preferred` when it is free, otherwise another one.

    Somebody else may take it before it is used: bind and be ready to ask again, or use
    `PortClaims`. Raises `Unavailable` when no free port is found.
    """
    with contextlib.closing(PortClaims()) as claims:
        return claims.take(preferred)


class PortClaims:
    """Ports that no other stack of this machine chooses until `close()` or the process's end.

    A claim is a name in the kernel's abstract socket namespace (Linux), which leaves no file and
    goes with its holder; elsewhere only the port itself is tried.
    """

    def __init__(self) -> None:
        self._held: list[socket.socket] = []
        self._random = random.SystemRandom()

    def take(self, preferred: int | None = None) -> int:
        """Claim `preferred` when it is free and unclaimed, otherwise another port."""
        if preferred is not None and self._claim(preferred):
            return preferred
        for _ in range(_ATTEMPTS):
            port = self._random.choice(_RANGE)
            if self._claim(port):
                return port
        raise Unavailable("No free TCP port was found on this machine.")

    def close(self) -> None:
        for claim in self._held:
            claim.close()
        self._held.clear()

    def _claim(self, port: int) -> bool:
        if not is_free(port):
            return False
        if sys.platform != "linux":
            return True
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            claim.bind(f"\0webnova-port-{port}")
        except OSError:
            claim.close()
            return False
        self._held.append(claim)
        return True
