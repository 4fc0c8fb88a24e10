"""Checkpoints in an object store that speaks S3: another machine, and often another operator."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from datetime import timedelta
from typing import Any

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from obstore.store import ObjectStore, S3Store

from engine.kernel.errors import InvalidInput, Unavailable, VersionConflict
from engine.kernel.ids import SLUG
from engine.kernel.secret import Secret
from engine.ledger.transparency.notes import Checkpoint
from engine.ledger.transparency.proofs import LogContradiction
from engine.ledger.transparency.publication import CheckpointPublisher, Succession, succeeds

DIGITS = 20
HIGHEST = 10**DIGITS - 1
PAGE = 1000
READ_AT_ONCE = 16
PROBE = ".conditional-writes"
"""An object that is only ever created; no tenant has such a name."""

PROBED = b"WebNova creates this object twice, to see that the second time is refused.\n"
KEY, SECRET = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"

_LOCATION = re.compile(
    r"//(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?P<prefix>(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)*)/?"
)
_NAME = re.compile(rf"\d{{{DIGITS}}}", re.ASCII)


class ObjectPublishing:
    """The kind `s3`; an address reads `s3://bucket/prefix`.

    Credentials, region and endpoint come from the environment under the names that all S3 programs
    use: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION`
    (`AWS_DEFAULT_REGION`) and `AWS_ENDPOINT_URL_S3` (`AWS_ENDPOINT_URL`). An endpoint without TLS
    is only used with `AWS_ALLOW_HTTP=true`.
    """

    def open(self, location: str) -> CheckpointPublisher:
        match = _LOCATION.fullmatch(location)
        if match is None:
            # The location isn't repeated: somebody may have put a key into it.
            raise InvalidInput(
                "The address of an object store reads s3://bucket/prefix.",
                mend=f"Give credentials and endpoint in the environment: {KEY}, {SECRET}, "
                "AWS_REGION, AWS_ENDPOINT_URL.",
            )
        return ObjectPublisher(_store(match["bucket"], match["prefix"].strip("/"), os.environ))


def _store(bucket: str, prefix: str, environ: Mapping[str, str]) -> S3Store:
    key, secret = environ.get(KEY, ""), Secret(environ.get(SECRET, ""))
    if not key or not secret:
        raise Unavailable(
            "The environment has no credentials for the object store of checkpoints.",
            mend=f"Set {KEY} and {SECRET} for every process of the installation.",
        )
    endpoint = environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL")
    plain = environ.get("AWS_ALLOW_HTTP", "").lower() in ("1", "true")
    if endpoint and not endpoint.startswith("https://" if not plain else ("https://", "http://")):
        raise InvalidInput(
            "The endpoint of the object store is no https address.",
            mend="Correct AWS_ENDPOINT_URL, or set AWS_ALLOW_HTTP=true inside a network of yours.",
        )
    settings: dict[str, Any] = {
        "access_key_id": key,
        "secret_access_key": secret.reveal(),
        "region": environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or "us-east-1",
        "conditional_put": "etag",
        # Buckets whose objects are locked by default take nothing without a checksum.
        "checksum_algorithm": "SHA256",
    }
    if endpoint:
        settings["endpoint"] = endpoint
    if token := environ.get("AWS_SESSION_TOKEN"):
        settings["session_token"] = token
    return S3Store(
        bucket,
        prefix=prefix or None,
        config=settings,  # type: ignore[arg-type]
        client_options={"allow_http": plain, "connect_timeout": "5s", "timeout": "20s"},
        retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=30)},
    )


class ObjectPublisher:
    """Keeps the notes of each tenant as objects `<tenant>/<number>` that are only ever created.

    Publishing is one request: it creates the object with the next number, on condition that there
    is none (`If-None-Match: *`, RFC 9110), so of all who publish at once one succeeds, and a
    process that dies leaves the note published or nothing. Numbers count down from 99…9: stores
    list in the order of names, so the latest note comes first however many there are.

    Before the first note a probe shows that the store keeps the condition. One that does not is
    refused (`Unavailable`), as is one that can't be reached or denies access. When the answer to
    the request got lost, `Unavailable` is raised although the note may have been published; it
    is then the latest, and whoever publishes next finds it so.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._probed = False

    async def latest(self, tenant: str) -> str | None:
        return (await self._latest(_directory(tenant)))[1]

    async def publish(self, tenant: str, note: str, succession: Succession) -> None:
        place = _directory(tenant)
        # Looked at first: what is no checkpoint costs no request.
        Checkpoint.of(note)
        number, latest = await self._latest(place)
        if not succeeds(latest, note, succession):
            return
        await self._probe()
        name = _name(place, number + 1)
        if await self._create(name, note.encode()):
            return
        with _usable():
            try:
                kept = await self._read(name)
            except FileNotFoundError:
                kept = ""
        # The store may have taken the note and broken off, and refused it when it was sent again.
        if kept != note:
            raise VersionConflict("Another checkpoint was published in the meantime.")

    async def history(self, tenant: str) -> Sequence[str]:
        """As promised, with the last signatures of each checkpoint.

        Raises `LogContradiction` when a note between two others is gone.
        """
        place = _directory(tenant)
        with _usable():
            numbers = sorted([number async for number in self._numbers(place)])
            if numbers != list(range(1, len(numbers) + 1)):
                raise LogContradiction(
                    "Published checkpoints are missing from the object store.",
                    mend="Bring them back from the bucket's earlier versions, and find out who "
                    "may delete there.",
                )
            turns = asyncio.Semaphore(READ_AT_ONCE)

            async def read(number: int) -> str:
                async with turns:
                    return await self._read(_name(place, number))

            notes = await asyncio.gather(*map(read, numbers))
        return list({Checkpoint.of(note): note for note in notes}.values())

    async def _latest(self, place: str) -> tuple[int, str | None]:
        """The number of the latest note and the note; zero and None when there is none."""
        with _usable():
            async with aclosing(self._numbers(place)) as numbers:
                async for number in numbers:
                    return number, await self._read(_name(place, number))
        return 0, None

    async def _numbers(self, place: str) -> AsyncGenerator[int, None]:
        """The numbers of all notes, the highest of each page first."""
        async for page in obstore.list(self._store, place, chunk_size=PAGE):
            names = sorted(str(each["path"]).removeprefix(place) for each in page)
            for name in names:
                if _NAME.fullmatch(name):
                    yield HIGHEST - int(name)

    async def _read(self, name: str) -> str:
        content = await (await obstore.get_async(self._store, name)).bytes_async()
        try:
            return bytes(content).decode()
        except UnicodeDecodeError:
            raise LogContradiction(
                "What is published in the object store is no signed note.",
                mend="Find out who wrote it; WebNova never writes an object twice.",
            ) from None

    async def _create(self, name: str, content: bytes) -> bool:
        """Whether the object was created; False when there was one of that name."""
        with _usable():
            try:
                await obstore.put_async(self._store, name, content, mode="create")
            except AlreadyExistsError:
                return False
            return True

    async def _probe(self) -> None:
        if self._probed:
            return
        if await self._create(PROBE, PROBED) and await self._create(PROBE, PROBED):
            raise Unavailable(
                "The object store overwrites objects that it was told only to create.",
                mend="Use one that keeps If-None-Match on PUT, such as Amazon S3, MinIO or Ceph.",
            )
        self._probed = True


def _directory(tenant: str) -> str:
    if SLUG.fullmatch(tenant) is None:
        raise InvalidInput("That is not the name of a tenant.")
    return f"{tenant}/"


def _name(place: str, number: int) -> str:
    return f"{place}{HIGHEST - number:0{DIGITS}d}"


@contextmanager
def _usable() -> Iterator[None]:
    """Failures of the store as `Unavailable`.

    The library's own words are dropped: they repeat the request and its answer, and those can hold
    a session token.
    """
    try:
        yield
    except (BaseError, OSError, ValueError) as error:
        found = re.search(r"status code: (\d{3})", str(error))
        raise _unusable(error, found[1] if found else None) from None


def _unusable(error: Exception, status: str | None) -> Unavailable:
    denied = isinstance(error, PermissionDeniedError | UnauthenticatedError)
    if denied or status in ("401", "403"):
        return Unavailable(
            "The object store of checkpoints refuses the credentials.",
            mend=f"Check {KEY} and {SECRET}, and that they may list, get and put objects there.",
        )
    if isinstance(error, FileNotFoundError) or status == "404":
        return Unavailable(
            "The object store has no such bucket, or an object vanished while it was read.",
            mend="Make the bucket, or correct its name in WEBNOVA_CHECKPOINT_PUBLISHER.",
        )
    return Unavailable(
        f"The object store of checkpoints {f'answers {status}' if status else 'is out of reach'}.",
        mend="Check AWS_ENDPOINT_URL, the bucket and the network. What was not published is "
        "published as soon as the store is back.",
    )
