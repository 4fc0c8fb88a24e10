"""Names for platforms whose owner did not choose one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

LONGEST = 40
NUMBERED = 25


def candidates(slug: str, seed: str) -> Iterator[str]:
    """`clinic`, `clinic-2`, … and at last one that nobody else is likely to have.

    The same `seed` gives the same names, so that a repeated request finds the platform that it
    made the first time.
    """
    yield slug
    for number in range(2, NUMBERED + 1):
        yield _with(slug, str(number))
    yield _with(slug, hashlib.sha256(seed.encode()).hexdigest()[:8])


def _with(slug: str, ending: str) -> str:
    return f"{slug[: LONGEST - len(ending) - 1].rstrip('-')}-{ending}"
