"""How long the client keeps trying, and when it must not."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from engine.kernel.errors import Unavailable, WebNovaError
from webnova.client.problems import error_of, retry_after

_PASSING = frozenset({502, 503, 504})


@dataclass(frozen=True, slots=True)
class Patience:
    """Bounds on the trouble taken for one call. Times are in seconds.

    A call is tried at most `attempts` times, and no new try begins after `budget_s`. Pauses grow
    from `pause_s` by doubling, at most `longest_pause_s`, unless the server names one with
    `Retry-After`. `timeout_s` bounds each try, and the silence within a stream.
    """

    attempts: int = 5
    budget_s: float = 30.0
    pause_s: float = 0.2
    longest_pause_s: float = 5.0
    timeout_s: float = 60.0

    def timeout(self) -> httpx.Timeout:
        return httpx.Timeout(self.timeout_s, connect=min(5.0, self.timeout_s))


class Attempts:
    """The tries of one call. Repeating is safe because every write carries an idempotency key."""

    def __init__(
        self, patience: Patience, url: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._patience = patience
        self._url = url
        self._clock = clock
        self.reset()

    def reset(self) -> None:
        """Something worked: the next trouble starts counting from nothing."""
        self._failures = 0
        self._since = self._clock()

    def answered(self, response: httpx.Response) -> float:
        """The pause before the next try; raises the answer's own error when none is worth it."""
        error = error_of(response)
        if response.status_code not in _PASSING:
            raise error
        return self._pause(error, retry_after(response))

    def broken(self, error: httpx.TransportError) -> float:
        """The pause after a connection that failed; raises `Unavailable` when it is too much."""
        kind = "did not answer in time" if isinstance(error, httpx.TimeoutException) else ""
        refused = Unavailable(
            f"WebNova at {self._url} {kind or 'cannot be reached'}.",
            mend="`webnova status` shows what runs and `webnova up` starts it;"
            " WEBNOVA_URL names another installation.",
        )
        refused.__cause__ = error
        if isinstance(error, httpx.UnsupportedProtocol):
            raise refused
        return self._pause(refused, None)

    def _pause(self, error: WebNovaError, wished: float | None) -> float:
        self._failures += 1
        pause = min(
            self._patience.longest_pause_s, self._patience.pause_s * 2 ** (self._failures - 1)
        )
        pause = wished if wished is not None else pause * random.uniform(0.75, 1.25)
        late = self._clock() + pause - self._since > self._patience.budget_s
        if self._failures >= self._patience.attempts or late:
            raise error
        return pause


def look_again(waited: float) -> float:
    """The pause before the next look at what has been waited for so long, in seconds: a
    twenty-fifth of it, so that many who wait cost little and none waits much too long."""
    return min(2.0, max(0.1, waited / 25))
