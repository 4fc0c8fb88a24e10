"""One embedding model for all tests of the room: it takes a second to load."""

from __future__ import annotations

import os

# Read when numpy is imported: several threads for such small matrices only get in each other's way.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest

from engine.ai.analyser import OfflineAnalyser
from engine.ai.embedding import UniversalSentenceEmbedder


@pytest.fixture(scope="session")
def embedder() -> UniversalSentenceEmbedder:
    return UniversalSentenceEmbedder()


@pytest.fixture(scope="session")
def analyser(embedder: UniversalSentenceEmbedder) -> OfflineAnalyser:
    return OfflineAnalyser(embedder)
