"""The Blueprint of each platform, with its whole history."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Literal, Self

from pydantic import Field

from engine.forge.blueprint.canonical import digest
from engine.forge.blueprint.model import Blueprint
from engine.forge.blueprint.source import load_data
from engine.kernel.contracts import Call, Command, Document, Event, Query, View
from engine.kernel.dispatch import Handlers, Reader, Transaction
from engine.kernel.errors import InvalidInput, NotFound, PreconditionFailed

Origin = Literal["described", "written", "restored"]


class BlueprintSaved(Event):
    type = "blueprint.saved"
    platform: str
    content: dict[str, Any]
    digest: str
    origin: Origin


class BlueprintRecord(Document):
    """The current Blueprint of a platform; its version is the length of its stream."""

    kind = "blueprint"
    events = (BlueprintSaved,)

    platform: str
    content: dict[str, Any]
    digest: str

    @classmethod
    def fold(cls, state: Self | None, event: Event) -> Self:
        assert isinstance(event, BlueprintSaved)
        return cls(platform=event.platform, content=event.content, digest=event.digest)

    def restoring(self) -> Command:
        return SaveBlueprint(platform=self.platform, content=self.content, origin="restored")


class BlueprintView(View):
    platform: str
    version: int
    digest: str
    content: dict[str, Any]


class BlueprintVersion(View):
    version: int
    digest: str
    origin: Origin
    saved_at: datetime
    saved_by: str


class BlueprintHistory(View):
    items: list[BlueprintVersion]


class SaveBlueprint(Command):
    """Replace the Blueprint of a platform. `expected` is the digest that the caller last saw.

    Saving content that is there already changes nothing.
    """

    permission: ClassVar[str] = "blueprint.write"
    emits: ClassVar[tuple[type[Event], ...]] = (BlueprintSaved,)

    platform: str
    content: dict[str, Any]
    expected: str | None = None
    origin: Origin = "written"


class GetBlueprint(Query):
    permission: ClassVar[str] = "blueprint.read"

    platform: str
    version: int | None = Field(None, ge=1)


class GetBlueprintHistory(Query):
    permission: ClassVar[str] = "blueprint.read"

    platform: str


handlers = Handlers()


def content_of(blueprint: Blueprint) -> dict[str, Any]:
    """A Blueprint as the JSON object that is stored and sent."""
    return blueprint.model_dump(mode="json", by_alias=True, exclude_defaults=True)


async def save(
    tx: Transaction, platform: str, content: dict[str, Any], origin: Origin
) -> BlueprintView:
    """Validate and store; part of the caller's transaction."""
    blueprint = load_data(content)
    if blueprint.name != platform:
        raise InvalidInput(
            f"The Blueprint is called {blueprint.name!r}, but the platform {platform!r}.",
            mend="Give it the platform's name; renaming a platform is another operation.",
        )
    found = await tx.find(BlueprintRecord, platform)
    fresh = digest(blueprint)
    if found is not None and found.document.digest == fresh:
        return _view(platform, found.version, found.document)
    saved = BlueprintSaved(
        platform=platform, content=content_of(blueprint), digest=fresh, origin=origin
    )
    version = found.version if found else 0
    stored = await tx.append(BlueprintRecord, platform, [saved], expected=version)
    return _view(platform, stored.version, stored.document)


@handlers.command(SaveBlueprint, BlueprintView)
async def save_blueprint(command: SaveBlueprint, tx: Transaction, call: Call) -> BlueprintView:
    found = await tx.find(BlueprintRecord, command.platform)
    if found is None:
        raise NotFound(f"There is no platform {command.platform!r} with a Blueprint.")
    if command.expected is not None and command.expected != found.document.digest:
        raise PreconditionFailed(
            "The Blueprint was changed since you read it.",
            mend="Read it again, repeat your change and send the new ETag.",
            digest=found.document.digest,
        )
    return await save(tx, command.platform, command.content, command.origin)


@handlers.query(GetBlueprint, BlueprintView)
async def get_blueprint(query: GetBlueprint, reader: Reader) -> BlueprintView:
    if query.version is None:
        found = await reader.find(BlueprintRecord, query.platform)
        if found is not None:
            return _view(query.platform, found.version, found.document)
    else:
        history = await reader.history(BlueprintRecord, query.platform, from_version=query.version)
        if history and history[0].version == query.version:
            saved = BlueprintSaved.model_validate(history[0].data)
            return _view(query.platform, query.version, BlueprintRecord.fold(None, saved))
        base = await reader.base(BlueprintRecord, query.platform)
        if base is not None and query.version <= base.version:
            raise NotFound(
                f"Version {query.version} is in the archive of {base.month} or of an earlier "
                "month.",
                mend="Bring it back with `webnova archive restore FILE`.",
                month=base.month,
            )
    raise NotFound(f"There is no such Blueprint of a platform {query.platform!r}.")


@handlers.query(GetBlueprintHistory, BlueprintHistory)
async def get_history(query: GetBlueprintHistory, reader: Reader) -> BlueprintHistory:
    items = []
    for recorded in await reader.history(BlueprintRecord, query.platform):
        saved = BlueprintSaved.model_validate(recorded.data)
        items.append(
            BlueprintVersion(
                version=recorded.version,
                digest=saved.digest,
                origin=saved.origin,
                saved_at=recorded.at,
                saved_by=str(recorded.metadata.get("caller", "")),
            )
        )
    if not items and await reader.find(BlueprintRecord, query.platform) is None:
        raise NotFound(f"There is no Blueprint of a platform {query.platform!r}.")
    return BlueprintHistory(items=items)


def _view(platform: str, version: int, record: BlueprintRecord) -> BlueprintView:
    return BlueprintView(
        platform=platform, version=version, digest=record.digest, content=record.content
    )
