"""From an answer that reports a failure back to the error that the server raised."""

from __future__ import annotations

import json
from typing import Any

import httpx

from engine.kernel.errors import Unavailable, WebNovaError, error_types

_OWN = frozenset({"type", "title", "status", "detail", "code", "mend", "instance"})
_MOST = 300


def error_of(response: httpx.Response) -> WebNovaError:
    """The error behind a response that is no success; its body must have been read.

    An RFC 9457 problem gives the class of the same `code`. A code that this client doesn't know
    gives the class of the same status, with the code kept in `fields`.
    """
    body = _problem(response)
    status = response.status_code
    if body is None:
        return _without_problem(response)
    code = body.get("code")
    known = {cls.code: cls for cls in error_types()}
    fields = {
        name: value for name, value in body.items() if name not in _OWN and name.isidentifier()
    }
    if code not in known:
        fields["code"] = code
    cls = known.get(str(code)) or _by_status(status)
    if "retry_after" not in fields and (wait := retry_after(response)) is not None:
        fields["retry_after"] = wait
    detail = str(body.get("detail") or body.get("title") or "")
    mend = body.get("mend")
    return cls(detail, mend=str(mend) if mend else None, **fields)


def retry_after(response: httpx.Response) -> float | None:
    """The seconds that the server asks to wait; None when it asks for nothing we understand."""
    text = response.headers.get("retry-after", "").strip()
    return float(text) if text.isascii() and text.isdigit() else None


def _problem(response: httpx.Response) -> dict[str, Any] | None:
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not kind.endswith("json"):
        return None
    try:
        body = json.loads(response.content)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _without_problem(response: httpx.Response) -> WebNovaError:
    """Something between us and WebNova answered, or what answered isn't WebNova."""
    status = response.status_code
    shown = " ".join(response.text.split())[:_MOST]
    detail = f"The server answered {status} without saying why" + (f": {shown}" if shown else ".")
    if status >= 500:
        return Unavailable(detail, mend="Try again; `webnova status` shows what runs.")
    return _by_status(status)(detail, mend="Check that the address is that of a WebNova API.")


def _by_status(status: int) -> type[WebNovaError]:
    direct = [cls for cls in error_types() if cls.status == status]
    # The most general class of a status comes first in the tree.
    return direct[0] if direct else WebNovaError
