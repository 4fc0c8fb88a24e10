"""The bytes that stand for an event in its tenant's log.

They are the RFC 8785 (JCS) form of one fixed object: `tenant`, `kind`, `id`, `version`,
`event_id`, `type`, `schema_version`, `data`, `metadata`, `at` (RFC 3339, UTC, microseconds) and
`exact`. Where the event lies in the database (`xid`, `position`) is no part of them.

JSON numbers are IEEE 754 doubles for JCS. A number that a double can't carry (an integer beyond
±(2^53 - 1), or what is not finite) is written as text, and `exact` lists the RFC 6901 pointers of
all such places. So every event that the store can hold has canonical bytes, no two events share
them, and a tenant can't stop its own log with one large number.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import rfc8785

from engine.kernel.contracts import Recorded, canonical_json

SAFE = 2**53 - 1
"""The largest integer that JSON carries exactly everywhere (RFC 7493, section 2.2)."""


def event_bytes(event: Recorded) -> bytes:
    """The canonical bytes of a recorded event, UTF-8, without a line end."""
    content: dict[str, Any] = {
        "at": timestamp(event.at),
        "data": event.data,
        "event_id": event.event_id,
        "exact": [],
        "id": event.id,
        "kind": event.kind,
        "metadata": event.metadata,
        "schema_version": event.schema_version,
        "tenant": event.tenant,
        "type": event.type,
        "version": event.version,
    }
    if simple(event.data) and simple(event.metadata):
        # Four times as fast, and the same bytes: a test compares them.
        return canonical_json(content).encode()
    exact: list[str] = []
    for name in ("data", "metadata"):
        content[name] = interoperable(content[name], f"/{name}", exact)
    return rfc8785.dumps({**content, "exact": sorted(exact)})


def simple(value: Any) -> bool:
    """Whether JSON with sorted keys is its RFC 8785 form already.

    Keys are ASCII, which sorts by code units as by code points, and there is no number but
    integers that a double carries, so none has an exponent or a fraction.
    """
    kind = type(value)
    if kind is dict:
        return all(name.isascii() and simple(part) for name, part in value.items())
    if kind is list:
        return all(map(simple, value))
    if kind is int:
        return bool(-SAFE <= value <= SAFE)
    return kind is str or kind is bool or value is None


def event_of(text: str) -> Recorded:
    """The event that canonical bytes stand for; it has no place in any database yet.

    Numbers that were written as text come back as numbers. Raises `ValueError` for what are no
    canonical bytes of an event.
    """
    content = json.loads(text, parse_int=_number)
    try:
        for pointer in content["exact"]:
            _restore(content, pointer)
        return Recorded(
            tenant=content["tenant"],
            xid=0,
            position=0,
            kind=content["kind"],
            id=content["id"],
            version=content["version"],
            event_id=content["event_id"],
            type=content["type"],
            schema_version=content["schema_version"],
            data=content["data"],
            metadata=content["metadata"],
            at=datetime.fromisoformat(content["at"]),
        )
    except (KeyError, IndexError, TypeError) as error:
        raise ValueError("these are no canonical bytes of an event") from error


def _number(digits: str) -> int | float:
    # A double without a fraction is written without a point, and only a double is this large.
    return int(digits) if abs(int(digits)) <= SAFE else float(digits)


def _restore(content: Any, pointer: str) -> None:
    *path, last = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
    for name in path:
        content = content[int(name) if isinstance(content, list) else name]
    key = int(last) if isinstance(content, list) else last
    text = content[key]
    content[key] = int(text, 16) if "0x" in text else float(text)


def timestamp(at: datetime) -> str:
    """RFC 3339 in UTC with six digits of the second; `at` must know its time zone."""
    if at.tzinfo is None:
        raise ValueError("an instant without a time zone has no canonical form")
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def interoperable(value: Any, pointer: str, exact: list[str]) -> Any:
    """`value` with every number that a double can't carry as text; their places go to `exact`."""
    if isinstance(value, Mapping):
        return {
            name: interoperable(part, f"{pointer}/{_escaped(name)}", exact)
            for name, part in value.items()
        }
    if isinstance(value, list | tuple):
        return [interoperable(part, f"{pointer}/{at}", exact) for at, part in enumerate(value)]
    if isinstance(value, bool):
        return value
    large = isinstance(value, int) and abs(value) > SAFE
    if large or (isinstance(value, float) and not math.isfinite(value)):
        exact.append(pointer)
        # Python refuses to print integers of many thousand digits in decimal, but not in hex.
        return hex(value) if isinstance(value, int) else repr(value)
    return value


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
