from __future__ import annotations

import contextlib
import socket
import sys

import pytest

from webnova.stack.ports import PortClaims, free_port, is_free, is_listening


def test_a_port_that_somebody_listens_on_is_not_given() -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as server:
        taken = server.getsockname()[1]
        assert not is_free(taken)
        assert is_listening(taken)
        assert free_port(taken) != taken
    assert is_free(taken)
    assert not is_listening(taken)


def test_a_port_taken_on_all_interfaces_is_not_given() -> None:
    with contextlib.closing(socket.create_server(("0.0.0.0", 0))) as server:
        assert not is_free(server.getsockname()[1])


def test_the_wished_port_is_given_when_free() -> None:
    wished = free_port()
    assert free_port(wished) == wished


def test_claims_are_all_different() -> None:
    with contextlib.closing(PortClaims()) as claims:
        ports = [claims.take() for _ in range(50)]
        assert len(set(ports)) == 50


@pytest.mark.skipif(sys.platform != "linux", reason="claims need abstract sockets")
def test_two_stacks_never_claim_the_same_port() -> None:
    wished = free_port()
    with contextlib.closing(PortClaims()) as first, contextlib.closing(PortClaims()) as second:
        assert first.take(wished) == wished
        assert second.take(wished) != wished
    with contextlib.closing(PortClaims()) as third:
        assert third.take(wished) == wished
