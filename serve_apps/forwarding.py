"""What a proxy changes in the head of a request and of an answer (RFC 9110, section 7.6)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from starlette.requests import Request

Headers = list[tuple[bytes, bytes]]

_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
_OWN = frozenset({b"x-webnova-tenant", b"expect", b"forwarded"})
_FORWARDED = frozenset({b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-prefix"})
_OUR_TOKEN = re.compile(rb"\s*bearer\s+wn_", re.IGNORECASE)
_COOKIE_PATH = re.compile(rb"(;\s*path\s*=\s*)([^;]*)", re.IGNORECASE)
_COOKIE_DOMAIN = re.compile(rb";\s*domain\s*=[^;]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Target:
    """Which platform a request is for, and what it asks there.

    `raw_path` begins with a slash and keeps the client's own escaping; it includes the query.
    `public_url` is the address people use, for links that the platform makes.
    """

    tenant: str
    platform: str
    raw_path: bytes
    public_url: str

    @property
    def prefix(self) -> str:
        return f"/p/{self.tenant}/{self.platform}"


def raw_path(request: Request) -> bytes:
    """The request's path past `/p/<tenant>/<platform>`, as it was sent, with its query."""
    whole: bytes = request.scope.get("raw_path") or quote(request.scope["path"]).encode()
    parts = whole.partition(b"?")[0].split(b"/", 4)
    query: bytes = request.scope.get("query_string", b"")
    return b"/" + b"".join(parts[4:]) + (b"?" + query if query else b"")


def request_headers(request: Request, target: Target) -> Headers:
    """The headers to send on; the platform's own credentials pass, WebNova's never do."""
    given: Headers = request.scope["headers"]
    dropped = _HOP | _OWN | _FORWARDED | _named(given)
    kept = [(name, value) for name, value in given if name not in dropped]
    kept = [pair for pair in kept if not _is_our_token(*pair)]
    if b"content-length" not in dict(kept) and any(n == b"transfer-encoding" for n, _ in given):
        kept.append((b"transfer-encoding", b"chunked"))
    client = request.client.host if request.client else "unknown"
    before = [value for name, value in kept if name == b"x-forwarded-for"]
    kept = [pair for pair in kept if pair[0] != b"x-forwarded-for"]
    host = request.headers.get("host") or urlsplit(target.public_url).netloc
    return [
        *kept,
        (b"x-forwarded-for", b", ".join([*before, client.encode()])),
        (b"x-forwarded-proto", urlsplit(target.public_url).scheme.encode()),
        (b"x-forwarded-host", host.encode("latin-1")),
        (b"x-forwarded-prefix", target.prefix.encode()),
    ]


def response_headers(given: Iterable[tuple[bytes, bytes]], target: Target) -> Headers:
    """The headers to answer with; links and cookies stay inside the platform's own address."""
    pairs = [(name.lower(), value) for name, value in given]
    dropped = _HOP | _named(pairs)
    return [(name, _inside(name, value, target)) for name, value in pairs if name not in dropped]


def _named(headers: Iterable[tuple[bytes, bytes]]) -> set[bytes]:
    """The headers that `Connection` declares to be for one hop only."""
    return {
        word.strip().lower()
        for name, value in headers
        if name == b"connection"
        for word in value.split(b",")
    }


def _is_our_token(name: bytes, value: bytes) -> bool:
    return name == b"authorization" and _OUR_TOKEN.match(value) is not None


def _inside(name: bytes, value: bytes, target: Target) -> bytes:
    prefix = target.prefix.encode()
    if name in (b"location", b"content-location"):
        return _moved(value, prefix)
    if name == b"set-cookie":
        value = _COOKIE_DOMAIN.sub(b"", value)
        if _COOKIE_PATH.search(value) is None:
            return value + b"; Path=" + prefix + b"/"
        return _COOKIE_PATH.sub(lambda found: found[1] + _moved(found[2].strip(), prefix), value)
    return value


def _moved(path: bytes, prefix: bytes) -> bytes:
    """An absolute path below the prefix; anything else as it is."""
    outside = path.startswith(b"/") and not path.startswith(b"//")
    if outside and path != prefix and not path.startswith(prefix + b"/"):
        return prefix + path
    return path
