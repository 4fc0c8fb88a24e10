"""Stands in for the HAProxy program that Ray Serve starts, and fences its configuration.

Ray Serve writes a configuration whose statistics and metrics listen on every interface without
authentication, and starts `haproxy -f FILE`. This program, run in its place, rewrites FILE so that
only the application's port is left, on loopback, and then becomes the real HAProxy. It is run as
`python -I haproxy_fence.py HAPROXY ERROR_FILE [haproxy's arguments]` and needs the standard
library only, because it runs at every reload.
"""

from __future__ import annotations

import os
import re
import sys

LOOPBACK = "127.0.0.1"
_SECTION = re.compile(r"(global|defaults|frontend|backend|listen)\b")
_DROPPED = ("frontend prometheus", "listen stats")
_BIND = re.compile(r"(\s*)bind\s+\S*:(\d+)((?:\s.*)?)")
_STRIPPED_HEADERS = ("x-request-timeout-seconds", "x-request-disconnect-disabled")

# A raw answer in HAProxy's format; lines end in CR LF.
ERROR_ANSWER = (
    "HTTP/1.0 503 Service Unavailable\r\n"
    "Content-Type: application/problem+json\r\n"
    "Cache-Control: no-store\r\n"
    "Retry-After: 1\r\n"
    "Connection: close\r\n"
    "\r\n"
    '{"type":"urn:webnova:problem:unavailable","title":"Not available now","status":503,'
    '"detail":"No replica of the service is ready.","code":"unavailable",'
    '"mend":"Try again in a moment."}\r\n'
)


def fence(configuration: str, error_file: str) -> str:
    """The configuration with every listener on loopback and nothing but the application's.

    The sections for metrics and statistics are left out, client headers that would override the
    server's own deadlines are removed from requests, and errors that HAProxy itself answers come
    from `error_file`. Raises `ValueError` for a listener whose form is not known, so that nothing
    is opened unfenced.
    """
    kept: list[str] = []
    dropping = False
    for line in configuration.splitlines():
        if _SECTION.match(line):
            dropping = line.strip() in _DROPPED
        if dropping:
            continue
        words = line.split()
        if words[:1] == ["bind"]:
            kept.extend(_fenced_bind(line))
        elif words[:1] == ["errorfile"] and len(words) == 3:
            kept.append(f"    errorfile {words[1]} {error_file}")
        else:
            kept.append(line)
    return "\n".join(kept) + "\n"


def _fenced_bind(line: str) -> list[str]:
    match = _BIND.fullmatch(line)
    if match is None:
        raise ValueError(f"unknown listener: {line.strip()}")
    indent, port, options = match.groups()
    return [
        f"{indent}bind {LOOPBACK}:{port}{options}",
        *(f"{indent}http-request del-header {header}" for header in _STRIPPED_HEADERS),
    ]


def main(arguments: list[str]) -> None:
    """Fence the file after `-f` and replace this process by HAProxy."""
    program, error_file, *rest = arguments
    if "-f" in rest:
        path = rest[rest.index("-f") + 1]
        with open(path, encoding="utf-8") as file:
            configuration = file.read()
        with open(path, "w", encoding="utf-8") as file:
            file.write(fence(configuration, error_file))
    os.execv(program, [program, *rest])


if __name__ == "__main__":
    main(sys.argv[1:])
