"""`ProviderActor`: what is shared by everybody on a node, such as a model in memory."""

from __future__ import annotations

import os
from typing import Any

import ray

from actors.cluster import PROVIDER, find_or_start
from engine.ai.analyser import Analysis, OfflineAnalyser, choose_analyser
from engine.ai.embedding import UniversalSentenceEmbedder
from engine.conductor.workshop import Described
from engine.forge.generate import with_frontend


class ProviderActor:
    """Holds the embedding model and the analysers that stand on it."""

    def __init__(self) -> None:
        embedder = UniversalSentenceEmbedder()
        self._offline = OfflineAnalyser(embedder)
        self._chosen = choose_analyser(embedder, os.environ)

    async def screen(self, description: str) -> str:
        """The name that a platform so described would get.

        Raises `InvalidInput`, `TooLarge` or `NotUnderstood` for what can't become a platform. The
        offline analyser judges, so that the answer is immediate and costs nothing.
        """
        analysis = await self._offline.analyse(description, name=None)
        return analysis.blueprint.name

    async def describe(self, name: str, description: str) -> Described:
        """Turn a description into a Blueprint called `name`."""
        return _described(await self._chosen.analyse(description, name=name))

    async def embed(self, texts: list[str]) -> Any:
        return self._offline.embedder.embed(texts)

    def __repr__(self) -> str:
        return PROVIDER


def _described(analysis: Analysis) -> Described:
    blueprint = analysis.blueprint
    if frontend := os.environ.get("WEBNOVA_FRONTEND", "").strip():
        blueprint = with_frontend(blueprint, frontend)
    content = blueprint.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return Described(
        blueprint=content,
        analyser=analysis.analyser,
        confidence=analysis.confidence,
        archetypes=[name for name, _ in analysis.archetypes],
        assumptions=[text.model_dump(exclude_none=True) for text in analysis.assumptions],
    )


def provider() -> Any:
    """The running provider of this installation, started if need be."""
    return find_or_start(
        lambda: ray.remote(ProviderActor),
        PROVIDER,
        num_cpus=0,
        max_restarts=-1,
        max_task_retries=2,
        max_concurrency=8,
    )
