"""Choosing TCP ports that are free now."""

from __future__ import annotations

import contextlib
import socket

LOOPBACK = "127.0.0.1"


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether nobody listens on `port`, neither on `host` nor on all interfaces."""
    for address in {host, "0.0.0.0"}:
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


def free_ports(count: int) -> list[int]:
    """`count` different ports that are free on every interface.

    The kernel names them, all held open together until the last is known. Another process can
    still take one before it is used, so a caller that binds must be ready to ask again.
    """
    with contextlib.ExitStack() as held:
        probes = []
        for _ in range(count):
            probe = held.enter_context(
                contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            )
            probe.bind(("0.0.0.0", 0))
            probes.append(probe)
        return [int(probe.getsockname()[1]) for probe in probes]


def free_port(preferred: int | None = None, host: str = LOOPBACK) -> int:
    """`preferred` when it is free, otherwise one that the kernel names."""
    if preferred is not None and is_free(preferred, host):
        return preferred
    return free_ports(1)[0]
