"""A tenant of the running stack is put to rest, and woken again."""

from __future__ import annotations

import time

import httpx
import pytest

from engine.kernel.errors import Forbidden
from serve_apps.preview import FRESH_S
from tests.system.conftest import small, succeeded
from webnova import Client
from webnova.stack.local import Stack

PATIENCE_S = 60.0


def test_a_suspended_tenant_rests_and_goes_on_where_it_was(stack: Stack, client: Client) -> None:
    made = client.create_tenant("resting", "Resting")
    assert made.token is not None
    url = stack.status().url
    with Client(url, made.token) as theirs:
        succeeded(theirs, theirs.create(blueprint=small("stall")).run)
        address = theirs.platform("stall").url
        assert address is not None
        health = f"{address.rstrip('/')}/health"
        assert httpx.get(health, timeout=30).status_code == 200

        client.suspend_tenant("resting", "an unpaid bill")
        with pytest.raises(Forbidden, match="suspended"):
            theirs.platform("stall")
        time.sleep(FRESH_S)  # the gateway may know the address for so long
        assert httpx.get(health, timeout=30).status_code >= 400
        events = list(client.events())
        assert any(event.type == "tenant.suspended" for event in events)

        client.resume_tenant("resting")
        assert theirs.platform("stall").state in ("running", "starting")
        deadline = time.monotonic() + PATIENCE_S
        while httpx.get(health, timeout=30).status_code != 200:
            assert time.monotonic() < deadline, "the platform did not come back"
            time.sleep(0.5)
