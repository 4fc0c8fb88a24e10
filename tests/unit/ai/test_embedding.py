from __future__ import annotations

import numpy as np

from engine.ai.embedding import Embedder, UniversalSentenceEmbedder


def test_vectors_have_the_promised_shape(embedder: UniversalSentenceEmbedder) -> None:
    contract: Embedder = embedder
    vectors = contract.embed(["a clinic", "عيادة", "a shop"])
    assert vectors.shape == (3, contract.dimension)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    assert contract.embed([]).shape == (0, contract.dimension)


def test_meaning_is_shared_by_both_languages(embedder: UniversalSentenceEmbedder) -> None:
    clinic, arabic_clinic, shop = embedder.embed(
        ["patients book a doctor", "يحجز المرضى موعدا مع الطبيب", "buy shoes online"]
    )
    assert clinic @ arabic_clinic > 0.5 > clinic @ shop


def test_the_rest_of_the_batch_changes_nothing(embedder: UniversalSentenceEmbedder) -> None:
    alone = embedder.embed(["a clinic for horses"])[0]
    among = embedder.embed(["one", "a clinic for horses", "two three four five"])[1]
    assert np.allclose(alone, among, atol=1e-5)
