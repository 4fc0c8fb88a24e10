"""Signatures of webhooks by the Standard Webhooks specification, version 1 (symmetric).

The signed content is `{id}.{timestamp}.{body}`, the signature HMAC-SHA256 in base64, and each is
announced as `v1,…`; while a secret is being rotated there are two, separated by a space.
<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence

from engine.kernel.secret import Secret

PREFIX = "whsec_"


def secret_of(key: Secret, tenant: str, webhook: str, generation: int) -> Secret:
    """The signing secret of an endpoint: 256 bits in base64 behind `whsec_`.

    Derived by HMAC-SHA256 from the installation's key, so that no database holds it. Whoever moves
    a tenant to another installation gives its endpoints new secrets.
    """
    name = "\0".join(("webnova-webhook", tenant, webhook, str(generation))).encode()
    raw = hmac.digest(key.reveal().encode(), name, "sha256")
    return Secret(PREFIX + base64.b64encode(raw).decode())


def signed_headers(
    secrets: Sequence[Secret], id: str, timestamp: int, body: bytes
) -> dict[str, str]:
    """The three headers of a message: its id, when it is sent (Unix seconds) and its signatures."""
    content = f"{id}.{timestamp}.".encode() + body
    return {
        "webhook-id": id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{_signature(each, content)}" for each in secrets),
    }


def _signature(secret: Secret, content: bytes) -> str:
    key = base64.b64decode(secret.reveal().removeprefix(PREFIX))
    return base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
