"""Asking witnesses for cosignatures: another WebNova, or whoever speaks c2sp.org/tlog-witness."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import Callable, Mapping, Sequence

import httpx

from engine.kernel.errors import InvalidInput, Unavailable
from engine.kernel.secret import Secret
from engine.ledger.transparency.notes import Checkpoint, encoded
from engine.ledger.transparency.proofs import LogContradiction
from engine.ledger.transparency.publication import Prove, WitnessAhead
from engine.ledger.transparency.publishing.cosignatures import (
    WitnessKey,
    cosignature_lines,
    cosigned,
)

SETTING = "WEBNOVA_WITNESSES"
TOKEN = "WEBNOVA_WITNESS_TOKEN_"
SIZE_TYPE = "text/x.tlog.size"
ATTEMPTS = 4
TIMEOUT_S = 10.0
"""For each step of a request, such as connecting or the next piece of the answer."""
DEADLINE_S = 20.0
"""For a request and its whole answer."""
REST_S = 15.0
"""So long a witness that was out of reach is not asked again, so that logs don't queue up there."""
LARGEST_ANSWER = 65_536


class HttpWitness:
    """A witness at a URL; `token` is what it wants to be shown, or empty.

    `clock` counts seconds from any beginning.
    """

    def __init__(
        self,
        key: WitnessKey,
        url: str,
        token: Secret,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._key = key
        self._url = f"{url.rstrip('/')}/add-checkpoint"
        self._local = _is_here(httpx.URL(url).host)
        self._token = token
        self._clock = clock
        self._rests_until = 0.0

    @property
    def key(self) -> WitnessKey:
        return self._key

    def has_cosigned(self, note: str) -> bool:
        return bool(cosigned(note, [self._key]))

    async def cosign(self, note: str, since: int, prove: Prove) -> str:
        """As `engine.ledger.transparency.publication.Witness.cosign` promises."""
        size, old = Checkpoint.of(note).size, since
        for _ in range(ATTEMPTS):
            answer = await self._ask(old, await prove(old), note)
            if isinstance(answer, str):
                return answer
            if answer > size:
                raise WitnessAhead(
                    f"The witness {self._key.name!r} has seen a log of {answer} events, this one "
                    f"has {size}.",
                    size=answer,
                )
            if answer == old:
                raise self._contradiction(old)
            old = answer
        raise self._useless("changes its mind about what it has seen")

    async def _ask(self, old: int, proof: Sequence[bytes], note: str) -> str | int:
        """Its cosignature lines, or the size up to which it has seen the log."""
        if self._clock() < self._rests_until:
            raise self._useless("was out of reach a moment ago")
        lines = [f"old {old}", *map(encoded, proof), "", note]
        headers = {"content-type": "text/plain; charset=utf-8"}
        if self._token:
            headers["authorization"] = f"Bearer {self._token.reveal()}"
        try:
            status, kind, body = await self._post("\n".join(lines).encode(), headers)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError):
            self._rests_until = self._clock() + REST_S
            raise self._useless("is out of reach") from None
        if status == 200:
            return self._verified(note, body)
        if status == 409 and kind.partition(";")[0].strip().lower() == SIZE_TYPE:
            return self._size(body)
        if status == 422:
            raise self._contradiction(old)
        raise self._refusal(status)

    async def _post(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, str, bytes]:
        """Status, media type and the first bytes of the answer."""
        async with (
            asyncio.timeout(DEADLINE_S),
            httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=not self._local) as client,
            client.stream("POST", self._url, content=body, headers=headers) as response,
        ):
            content = b""
            async for piece in response.aiter_bytes():
                content += piece
                if len(content) > LARGEST_ANSWER:
                    break
            return response.status_code, response.headers.get("content-type", ""), content

    def _verified(self, note: str, body: bytes) -> str:
        try:
            lines = cosignature_lines(note + body.decode(), self._key)
            good = bool(cosigned(note + lines, [self._key]))
        except (InvalidInput, UnicodeDecodeError):
            good = False
        if not good:
            raise self._useless(
                "answers without a good cosignature", f"Correct its vkey in {SETTING}."
            )
        return lines

    def _size(self, body: bytes) -> int:
        text = body.decode("ascii", "replace").removesuffix("\n")
        if not (text.isascii() and text.isdigit() and len(text) < 20):
            raise self._useless("answers a size that is none")
        return int(text)

    def _contradiction(self, old: int) -> LogContradiction:
        return LogContradiction(
            f"The log does not continue the checkpoint of {old} events that the witness "
            f"{self._key.name!r} has seen.",
            mend="Its history was altered. Keep the database as it is, and compare an export with "
            "a checkpoint that the witness has cosigned: `webnova audit verify`.",
            published_size=old,
        )

    def _refusal(self, status: int) -> Unavailable:
        match status:
            case 404:
                why = "does not know this log"
                mend = "Let it trust the log: `webnova audit witness trust VKEY` over there."
            case 401 | 403:
                why = "lets this installation not in, or trusts other keys of this log"
                mend = f"Check {TOKEN}{self._key.id.hex().upper()} and the vkey that it trusts."
            case _:
                why, mend = f"answers {status}", f"Check its address in {SETTING}."
        return self._useless(why, mend)

    def _useless(self, why: str, mend: str | None = None) -> Unavailable:
        return Unavailable(
            f"The witness {self._key.name!r} {why}, so the checkpoint is not published.",
            mend=mend or f"Wait until it is back, or take it out of {SETTING} and restart.",
        )


def configured(setting: str, environ: Mapping[str, str]) -> list[HttpWitness]:
    """The witnesses that a setting lists as `VKEY URL, VKEY URL`.

    The token for each is in the environment under `WEBNOVA_WITNESS_TOKEN_` and the key's id, the
    middle part of its vkey, in capitals. Raises `InvalidInput` for what can't be read.
    """
    found = []
    for part in filter(None, (each.strip() for each in setting.split(","))):
        words = part.split()
        if len(words) != 2:
            raise InvalidInput(
                f"{SETTING} lists witnesses as VKEY URL, separated by commas.",
                mend="`webnova audit witness show` prints both at the witness.",
            )
        key = WitnessKey.parse(words[0])
        token = environ.get(f"{TOKEN}{key.id.hex().upper()}", "").strip()
        found.append(HttpWitness(key, _checked(words[1]), Secret(token)))
    if len({each.key for each in found}) < len(found):
        raise InvalidInput(f"{SETTING} lists a witness twice.", mend="Take one out.")
    return found


def _checked(text: str) -> str:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        url = httpx.URL("")
    safe = url.scheme == "https" or (url.scheme == "http" and _is_here(url.host))
    if not safe or not url.host or url.userinfo or url.query or url.fragment:
        raise InvalidInput(
            "The address of a witness is https://host/path, without a password or a question.",
            mend=f"Put a token into the environment, as {TOKEN} and the id of the key.",
        )
    return text


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
