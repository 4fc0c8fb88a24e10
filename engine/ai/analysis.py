"""The contract of every analyser: from a description to a Blueprint, and how sure it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Literal, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field

from engine.forge.blueprint.model import Blueprint, Text, TypeName

Progress = Callable[[int, str], None]
"""Called while an answer arrives: entities named so far, and the newest piece of the answer."""


class Evidence(BaseModel):
    """Where an entity comes from: `detail` is the words of the text, or the archetype's name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Literal["text", "archetype", "model"]
    detail: str


class Analysis(BaseModel):
    """What a description was understood to mean.

    `blueprint` passes `engine.forge.blueprint.checks`; its own `assumptions` are the same as
    here. `confidence` is 0 to 1. `archetypes` holds the nearest domains with their score (0 to 1),
    best first. `evidence` has an entry for every entity. `analyser` is `offline` or
    `claude:<model>`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    blueprint: Blueprint
    assumptions: list[Text] = []
    confidence: Annotated[float, Field(ge=0, le=1)]
    archetypes: list[tuple[str, float]] = []
    evidence: dict[TypeName, Evidence] = {}
    analyser: str


class Analyser(Protocol):
    """Understands descriptions in Arabic and English.

    `name` is the platform's name if the caller has chosen one, otherwise it is derived. Raises
    `InvalidInput`, `TooLarge` or `NotUnderstood` for a description that can't become a platform.
    """

    async def analyse(
        self, description: str, *, name: str | None = None, progress: Progress | None = None
    ) -> Analysis: ...


@runtime_checkable
class AnalyserMaker(Protocol):
    """A kind of analyser that needs a service: the plugins of `webnova.analysers`.

    A plugin is loaded only when the environment has the variable that it is named after in
    `engine.ai.analyser.SERVICES`, so that an installation without keys never pays for it.
    """

    def make(self, offline: Analyser, env: Mapping[str, str]) -> Analyser:
        """An analyser that asks the service, and `offline` openly whenever that fails."""
        ...
