"""The client that blocks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Self, TypeVar

import httpx

from webnova.client import models, operations, streaming
from webnova.client.location import locate
from webnova.client.metering_calls import MeteringCalls
from webnova.client.operations import Operation, Wish
from webnova.client.retrying import Patience, look_again
from webnova.client.session import Session, is_success
from webnova.client.streaming import Stream
from webnova.client.tenancy_calls import TenancyCalls

T = TypeVar("T")
PAGE = 100
NOTHING_MORE = 204


class Client(MeteringCalls, TenancyCalls):
    """One installation's API for one caller.

    Without arguments it finds the local stack and its first token; see `locate`. Every method
    raises the error that the server raised, a `WebNovaError`, and `Unavailable` when there is no
    answer. Calls are repeated within the bounds of `patience` when the server can't be reached or
    asks to come back; each write carries an idempotency key, so that a repetition does nothing
    twice. Pass `idempotency_key` to make a repetition safe beyond the life of this process.

    Usable as a context manager. Threads may share one client.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        tenant: str | None = None,
        patience: Patience | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._session = Session(locate(url, token), tenant, patience or Patience())
        self._http = httpx.Client(**self._session.http_options(), transport=transport)

    @property
    def url(self) -> str:
        return self._session.location.url

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def health(self) -> models.Health:
        """Whether the installation and its database answer; needs no token."""
        return self.do(operations.health())

    def create(
        self,
        description: str | None = None,
        *,
        name: str | None = None,
        blueprint: Mapping[str, Any] | None = None,
        blueprint_text: str | None = None,
        idempotency_key: str | None = None,
    ) -> models.PlatformAccepted:
        """Ask for a platform, from a description or from a Blueprint as data, YAML or JSON.

        Returns when the wish is recorded; `follow` or `wait` for its run. A name that isn't given
        is derived.
        """
        wish = Wish(description, blueprint, blueprint_text)
        return self.do(operations.create(wish, name, idempotency_key))

    def platform(self, name: str) -> models.Platform:
        return self.do(operations.platform(name))

    def platforms(self) -> Iterator[models.Platform]:
        """Every platform of the tenant, fetched page by page."""
        return self.pages(operations.platforms)

    def build(
        self,
        name: str,
        *,
        blueprint: Mapping[str, Any] | None = None,
        blueprint_text: str | None = None,
        idempotency_key: str | None = None,
    ) -> models.PlatformAccepted:
        """Bring the platform to its Blueprint; when one is given, that is saved first."""
        wish = Wish(blueprint=blueprint, blueprint_text=blueprint_text)
        return self.do(operations.build(name, wish, idempotency_key))

    def rollback(
        self, name: str, version: int | None = None, *, idempotency_key: str | None = None
    ) -> models.PlatformAccepted:
        """Put an earlier release back into service: the given version, or the one before."""
        return self.do(operations.rollback(name, version, idempotency_key))

    def credentials(self, name: str) -> models.Credentials:
        return self.do(operations.credentials(name))

    def logs(self, name: str, lines: int = 200, *, follow: bool = False) -> Iterator[str]:
        """The last lines that the platform wrote, then, with `follow`, each new one for ever."""
        if follow:
            return self._stream(streaming.live_logs(name, lines))
        return iter(self.do(operations.logs(name, lines)).lines)

    def blueprint(self, name: str, version: int | None = None) -> models.Blueprint:
        return self.do(operations.blueprint(name, version))

    def blueprint_yaml(self, name: str, version: int | None = None) -> str:
        """The Blueprint as canonical YAML."""
        return self.do(operations.blueprint_yaml(name, version))

    def save_blueprint(
        self, name: str, content: Mapping[str, Any], *, expected: str
    ) -> models.Blueprint:
        """Replace the Blueprint whose digest was `expected`; `PreconditionFailed` otherwise."""
        return self.do(operations.save_blueprint(name, content, expected))

    def blueprint_versions(self, name: str) -> list[models.BlueprintVersion]:
        return self.do(operations.blueprint_versions(name)).items

    def blueprint_diff(
        self, name: str, old: int | None = None, new: int | None = None
    ) -> list[models.Change]:
        """What changed between two versions of a platform's Blueprint."""
        return self.do(operations.blueprint_diff(name, old, new)).changes

    def validate(
        self, text: str | None = None, *, content: Mapping[str, Any] | None = None
    ) -> models.Validation:
        """Check a Blueprint. An invalid one raises `InvalidInput` with its places in `errors`."""
        return self.do(operations.validate(text, content))

    def diff(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[models.Change]:
        return self.do(operations.diff(old, new)).changes

    def import_source(
        self, text: str, form: str, *, dialect: str | None = None, name: str | None = None
    ) -> models.ImportedBlueprint:
        """A Blueprint from a foreign format, and what became of each construct of it."""
        return self.do(operations.import_source(text, form, dialect, name))

    def export_as(self, content: Mapping[str, Any], to: str) -> str:
        """A Blueprint as OpenAPI, DBML, Mermaid or JSON Schema."""
        return self.do(operations.export_as(content, to))

    def blueprint_schema(self) -> dict[str, Any]:
        """The JSON Schema of the Blueprint language."""
        return self.do(operations.blueprint_schema())

    def run(self, id: str) -> models.Run:
        return self.do(operations.run(id))

    def runs(self, platform: str | None = None) -> Iterator[models.Run]:
        """Every run of the tenant or of one platform, the newest first."""
        return self.pages(lambda after, limit: operations.runs(platform, after, limit))

    def cancel(self, run: str, *, idempotency_key: str | None = None) -> models.Run:
        """Ask a run to stop. It ends soon after; a run that has ended stays as it is."""
        return self.do(operations.cancel(run, idempotency_key))

    def run_log(self, run: str) -> str:
        """The full account of a run's failure; `NotFound` when there was none."""
        return self.do(operations.run_log(run))

    def follow(self, run: str) -> Iterator[models.Event]:
        """The run's events from its beginning to its end, as they happen, each exactly once."""
        return self._stream(streaming.run_events(run))

    def wait(self, run: str, *, timeout: float | None = None) -> models.Run:
        """Block until the run has ended. Raises `TimeoutError` after `timeout` seconds."""
        began = time.monotonic()
        while (found := self.run(run)).state not in models.ENDED:
            waited = time.monotonic() - began
            pause = look_again(waited)
            if timeout is not None and waited + pause > timeout:
                raise TimeoutError(f"The run {run!r} has not ended after {timeout} seconds.")
            time.sleep(pause)
        return found

    def events(self, after: str | None = None, *, follow: bool = False) -> Iterator[models.Event]:
        """The tenant's events after the cursor `after`, then, with `follow`, each new one."""
        if follow:
            return self._stream(streaming.live_events(after))
        return self.pages(operations.events, after)

    def audit_checkpoint(self) -> models.SignedCheckpoint:
        """The signed checkpoint of the tenant's log as it now is."""
        return self.do(operations.audit_checkpoint())

    def versions(self, kind: str, id: str, *, after: int = 0) -> models.VersionList:
        """A page of a document's versions, oldest first, with who made each."""
        return self.do(operations.versions(kind, id, after))

    def version(self, kind: str, id: str, number: int) -> models.DocumentVersion:
        return self.do(operations.version(kind, id, number))

    def differences(
        self, kind: str, id: str, old: int | None = None, new: int | None = None
    ) -> models.Differences:
        """What differs between two versions; by default what the last change changed."""
        return self.do(operations.differences(kind, id, old, new))

    def blame(self, kind: str, id: str, number: int | None = None) -> models.Blame:
        """Each value with the change that gave it its present form."""
        return self.do(operations.blame(kind, id, number))

    def prove_inclusion(
        self, event: str | None = None, *, index: int | None = None, size: int | None = None
    ) -> models.InclusionProof:
        """That an event, named by its id or index, is in the log of the given size or now."""
        return self.do(operations.prove_inclusion(event, index, size))

    def prove_consistency(self, old: int, new: int | None = None) -> models.ConsistencyProof:
        """That the log of the size `old` is the beginning of that of the size `new` or now."""
        return self.do(operations.prove_consistency(old, new))

    def audit_export(self) -> Iterator[bytes]:
        """The lines of an export of the whole log, without their ends; none is kept in memory.

        Raises `Unavailable` when the connection breaks off: part of an export is none.
        """
        return self._stream(streaming.audit_export())

    def issue_token(
        self,
        label: str,
        permissions: list[str],
        *,
        expires_at: datetime | None = None,
        idempotency_key: str | None = None,
    ) -> models.TokenIssued:
        return self.do(operations.issue_token(label, permissions, expires_at, idempotency_key))

    def tokens(self) -> Iterator[models.Token]:
        return self.pages(operations.tokens)

    def revoke_token(self, id: str) -> models.Token:
        return self.do(operations.revoke_token(id))

    def do(self, operation: Operation[T]) -> T:
        request = self._session.request(operation)
        attempts = self._session.attempts()
        while True:
            try:
                response = self._http.request(**request)
            except httpx.TransportError as error:
                pause = attempts.broken(error)
            else:
                if is_success(response):
                    return operation.read(response)
                pause = attempts.answered(response)
            time.sleep(pause)

    def pages(
        self,
        page: Callable[[str | None, int], Operation[models.Page[T]]],
        after: str | None = None,
    ) -> Iterator[T]:
        while True:
            found = self.do(page(after, PAGE))
            yield from found.items
            if found.next is None or found.next == after:
                return
            after = found.next

    def _stream(self, stream: Stream[T]) -> Iterator[T]:
        attempts = self._session.attempts()
        while not stream.over:
            pause = self._session.patience.pause_s
            try:
                with self._http.stream(**self._session.stream_request(stream)) as response:
                    if not is_success(response):
                        response.read()
                        pause = attempts.answered(response)
                    elif response.status_code == NOTHING_MORE:
                        return
                    else:
                        decoder = stream.connected()
                        for chunk in response.iter_bytes():
                            attempts.reset()
                            yield from stream.items(decoder, chunk)
                            if stream.over:
                                return
                        if (run := stream.run_to_ask()) is not None:
                            stream.run_ended(self.run(run).state in models.ENDED)
            except httpx.TransportError as error:
                pause = attempts.broken(error)
            if not stream.over:
                time.sleep(pause)
