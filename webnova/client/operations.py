"""Every operation of the API once, as data that both clients send.

An operation says what to ask and how to read the answer; it does no input or output itself.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ValidationError

from engine.kernel.errors import InvalidInput, Unavailable
from webnova.client import models

API = "/api/v1"
T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)
_ACCEPT_YAML = {"accept": "application/yaml"}


@dataclass(frozen=True, slots=True)
class Operation(Generic[T]):
    """`key` is the idempotency key of a write that the caller wants to repeat; else one is drawn.

    Parameters that are None are not sent. `content` is a body of any length, which can be gone
    through again for each try; its answer is waited for however long it takes.
    """

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    json: Any = None
    params: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    key: str | None = None
    content: bytes | Iterable[bytes] | AsyncIterable[bytes] | None = None

    @property
    def writes(self) -> bool:
        return self.method in ("POST", "PUT", "DELETE")

    def sent_params(self) -> dict[str, Any]:
        return {name: value for name, value in self.params.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Wish:
    """What a platform shall be: a sentence, a Blueprint as data, or one as YAML or JSON text."""

    description: str | None = None
    blueprint: Mapping[str, Any] | None = None
    blueprint_text: str | None = None

    def body(self, **more: Any) -> dict[str, Any]:
        """The request's body. Raises `InvalidInput` when more than one form is given."""
        forms = {
            "description": self.description,
            "blueprint": self.blueprint,
            "blueprint_text": self.blueprint_text,
        }
        given = {name: value for name, value in forms.items() if value is not None}
        if len(given) > 1:
            raise InvalidInput(
                f"{' and '.join(given)} were given together.",
                mend="Say what the platform shall be in one of these forms.",
            )
        return {**given, **{name: value for name, value in more.items() if value is not None}}


def path(*segments: str) -> str:
    """The path below the API's root; each segment is escaped, so that none can lead elsewhere."""
    for segment in segments:
        if segment in ("", ".", ".."):
            raise InvalidInput(f"{segment!r} is not a name.", mend="Give the name or id itself.")
    return f"{API}/{'/'.join(quote(segment, safe='') for segment in segments)}"


def reading(model: type[M]) -> Callable[[httpx.Response], M]:
    def read(response: httpx.Response) -> M:
        try:
            return model.model_validate_json(response.content)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            raise Unavailable(
                f"The server's answer is no {model.__name__}: {place} {first['msg']}.",
                mend="Check that the address is that of a WebNova API of this version.",
            ) from error

    return read


def _text(response: httpx.Response) -> str:
    return response.text


def _checkpoint(response: httpx.Response) -> models.SignedCheckpoint:
    return models.SignedCheckpoint(
        note=response.text, vkey=response.headers.get("x-webnova-vkey", "")
    )


def _object(response: httpx.Response) -> dict[str, Any]:
    found = response.json()
    assert isinstance(found, dict)
    return found


def _get(model: type[M], *segments: str, **params: Any) -> Operation[M]:
    return Operation("GET", path(*segments), reading(model), params=params)


def health() -> Operation[models.Health]:
    return _get(models.Health, "health")


def create(
    wish: Wish, name: str | None = None, key: str | None = None
) -> Operation[models.PlatformAccepted]:
    read = reading(models.PlatformAccepted)
    return Operation("POST", path("platforms"), read, json=wish.body(name=name), key=key)


def platform(name: str) -> Operation[models.Platform]:
    return _get(models.Platform, "platforms", name)


def platforms(after: str | None, limit: int) -> Operation[models.Page[models.Platform]]:
    return _get(models.Page[models.Platform], "platforms", after=after, limit=limit)


def build(name: str, wish: Wish, key: str | None = None) -> Operation[models.PlatformAccepted]:
    read = reading(models.PlatformAccepted)
    return Operation("POST", path("platforms", name, "builds"), read, json=wish.body(), key=key)


def rollback(
    name: str, version: int | None = None, key: str | None = None
) -> Operation[models.PlatformAccepted]:
    body = {} if version is None else {"version": version}
    read = reading(models.PlatformAccepted)
    return Operation("POST", path("platforms", name, "rollback"), read, json=body, key=key)


def logs(name: str, lines: int) -> Operation[models.Logs]:
    return _get(models.Logs, "platforms", name, "logs", lines=lines)


def credentials(name: str) -> Operation[models.Credentials]:
    return _get(models.Credentials, "platforms", name, "credentials")


def blueprint(name: str, version: int | None = None) -> Operation[models.Blueprint]:
    return _get(models.Blueprint, "platforms", name, "blueprint", version=version)


def blueprint_yaml(name: str, version: int | None = None) -> Operation[str]:
    place = path("platforms", name, "blueprint")
    return Operation("GET", place, _text, params={"version": version}, headers=_ACCEPT_YAML)


def save_blueprint(
    name: str, content: Mapping[str, Any], expected: str
) -> Operation[models.Blueprint]:
    if not re.fullmatch(r"[\x21\x23-\x7e]+", expected):
        raise InvalidInput(
            "`expected` is not the digest of a Blueprint.",
            mend="Pass the `digest` of the Blueprint that you read and changed.",
        )
    return Operation(
        "PUT",
        path("platforms", name, "blueprint"),
        reading(models.Blueprint),
        json={"content": content},
        headers={"if-match": f'"{expected}"'},
    )


def blueprint_versions(name: str) -> Operation[models.BlueprintHistory]:
    return _get(models.BlueprintHistory, "platforms", name, "blueprint", "versions")


def blueprint_diff(name: str, old: int | None, new: int | None) -> Operation[models.Changes]:
    params = {"from": old, "to": new}
    return _get(models.Changes, "platforms", name, "blueprint", "diff", **params)


def validate(
    text: str | None = None, content: Mapping[str, Any] | None = None
) -> Operation[models.Validation]:
    if (text is None) == (content is None):
        raise InvalidInput("Give either the text or the content of the Blueprint.")
    body = {"text": text} if text is not None else {"content": content}
    read = reading(models.Validation)
    return Operation("POST", path("blueprints", "validate"), read, json=body)


def diff(old: Mapping[str, Any], new: Mapping[str, Any]) -> Operation[models.Changes]:
    body = {"old": old, "new": new}
    return Operation("POST", path("blueprints", "diff"), reading(models.Changes), json=body)


def import_source(
    text: str, form: str, dialect: str | None = None, name: str | None = None
) -> Operation[models.ImportedBlueprint]:
    return Operation(
        "POST",
        path("blueprints", "import"),
        reading(models.ImportedBlueprint),
        params={"from": form, "dialect": dialect, "name": name},
        headers={"content-type": "text/plain; charset=utf-8"},
        content=text.encode(),
    )


def export_as(content: Mapping[str, Any], to: str) -> Operation[str]:
    body = {"content": content}
    return Operation("POST", path("blueprints", "export"), _text, json=body, params={"to": to})


def blueprint_schema() -> Operation[dict[str, Any]]:
    return Operation("GET", path("schemas", "blueprint"), _object)


def run(id: str) -> Operation[models.Run]:
    return _get(models.Run, "runs", id)


def runs(platform: str | None, after: str | None, limit: int) -> Operation[models.Page[models.Run]]:
    params = {"platform": platform, "after": after, "limit": limit}
    return _get(models.Page[models.Run], "runs", **params)


def cancel(id: str, key: str | None = None) -> Operation[models.Run]:
    return Operation("POST", path("runs", id, "cancel"), reading(models.Run), json={}, key=key)


def run_log(id: str) -> Operation[str]:
    return Operation("GET", path("runs", id, "log"), _text, headers={"accept": "text/plain"})


def events(after: str | None, limit: int) -> Operation[models.Page[models.Event]]:
    return _get(models.Page[models.Event], "events", after=after, limit=limit)


def audit_checkpoint() -> Operation[models.SignedCheckpoint]:
    place, accept = path("audit", "checkpoint"), {"accept": "text/plain"}
    return Operation("GET", place, _checkpoint, headers=accept)


def versions(kind: str, id: str, after: int = 0) -> Operation[models.VersionList]:
    return _get(models.VersionList, "documents", kind, id, "versions", after=after or None)


def version(kind: str, id: str, number: int) -> Operation[models.DocumentVersion]:
    return _get(models.DocumentVersion, "documents", kind, id, "versions", str(number))


def differences(
    kind: str, id: str, old: int | None = None, new: int | None = None
) -> Operation[models.Differences]:
    return _get(models.Differences, "documents", kind, id, "diff", **{"from": old, "to": new})


def blame(kind: str, id: str, number: int | None = None) -> Operation[models.Blame]:
    return _get(models.Blame, "documents", kind, id, "blame", version=number)


def prove_inclusion(
    event: str | None = None, index: int | None = None, size: int | None = None
) -> Operation[models.InclusionProof]:
    params = {"event": event, "index": index, "size": size}
    return _get(models.InclusionProof, "audit", "proof", "inclusion", **params)


def prove_consistency(old: int, new: int | None) -> Operation[models.ConsistencyProof]:
    params = {"from": old, "to": new}
    return _get(models.ConsistencyProof, "audit", "proof", "consistency", **params)


def issue_token(
    label: str,
    permissions: list[str],
    expires_at: datetime | None = None,
    key: str | None = None,
) -> Operation[models.TokenIssued]:
    body: dict[str, Any] = {"label": label, "permissions": permissions}
    if expires_at is not None:
        body["expires_at"] = expires_at.isoformat()
    read = reading(models.TokenIssued)
    return Operation("POST", path("tokens"), read, json=body, key=key)


def tokens(after: str | None, limit: int) -> Operation[models.Page[models.Token]]:
    return _get(models.Page[models.Token], "tokens", after=after, limit=limit)


def revoke_token(id: str) -> Operation[models.Token]:
    return Operation("DELETE", path("tokens", id), reading(models.Token))
