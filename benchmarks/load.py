"""A load generator whose own cost is small beside what it measures.

Connections are kept alive, requests prepared once, and responses read by their Content-Length
(RFC 9112) and not parsed further.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Figures:
    """Latencies in milliseconds and the rate in requests per second."""

    p50: float
    p99: float
    rate: float
    requests: int

    def __str__(self) -> str:
        return f"p50 {self.p50:7.2f} ms  p99 {self.p99:7.2f} ms  {self.rate:8.0f}/s"


async def measure(
    url: str,
    *,
    headers: dict[str, str] | None = None,
    body: bytes = b"",
    connections: int = 1,
    seconds: float = 3.0,
) -> Figures:
    """GET the url (POST when there is a body) for some seconds. Raises on any status but 2xx."""
    parts = urlsplit(url)
    lines = [f"{'POST' if body else 'GET'} {parts.path or '/'} HTTP/1.1", f"Host: {parts.netloc}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    lines += [f"Content-Length: {len(body)}"] if body else []
    request = ("\r\n".join(lines) + "\r\n\r\n").encode() + body
    until = time.perf_counter() + seconds
    work = (
        _connection(parts.hostname or "127.0.0.1", parts.port or 80, request, until)
        for _ in range(connections)
    )
    began = time.perf_counter()
    taken = sorted(each for times in await asyncio.gather(*work) for each in times)
    spent = time.perf_counter() - began
    return Figures(
        p50=statistics.median(taken) * 1000,
        p99=taken[min(len(taken) - 1, int(len(taken) * 0.99))] * 1000,
        rate=len(taken) / spent,
        requests=len(taken),
    )


async def _connection(host: str, port: int, request: bytes, until: float) -> list[float]:
    reader, writer = await asyncio.open_connection(host, port)
    times = []
    try:
        while time.perf_counter() < until:
            began = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            status = head.split(b" ", 2)[1]
            if not status.startswith(b"2"):
                raise RuntimeError(f"status {status.decode()}")
            await reader.readexactly(_length(head))
            times.append(time.perf_counter() - began)
    finally:
        writer.close()
    return times


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    raise RuntimeError("the response has no Content-Length")
