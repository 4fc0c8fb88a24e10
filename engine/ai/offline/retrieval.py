"""Which domain a description belongs to: meaning by embeddings, and the words that give it away."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass

import numpy as np

from engine.ai.archetypes import Archetype
from engine.ai.embedding import Embedder, Vectors
from engine.ai.extraction.tokens import Token
from engine.ai.lexicon import lexicon
from engine.ai.lexicon.index import PhraseIndex

_QUERY_CHARACTERS = 1_000
_MOST_SENTENCES = 12
_MEANING = 0.5
_TOPIC_WORDS = 6
_NOUN_WEIGHT = 0.35


@dataclass(frozen=True)
class Match:
    """How near a domain is. `score`, `meaning`, `words`: 0 to 1; `cues`: what was found."""

    archetype: Archetype
    score: float
    meaning: float
    words: float
    cues: tuple[str, ...]


class Retrieval:
    """Scores a description against every archetype.

    The archetypes are embedded once, on first use. Scores are rounded to four digits, far above
    the rounding of the embedding, so that equal texts have equal scores.
    """

    def __init__(self, embedder: Embedder, library: dict[str, Archetype]) -> None:
        self._embedder = embedder
        self._library = library
        self._lock = threading.Lock()
        self._vectors: Vectors | None = None
        self._owners = [name for name, one in library.items() for _ in one.about]
        self._cues: PhraseIndex[tuple[str, float]] = PhraseIndex()
        self._fill_cues()

    def _fill_cues(self) -> None:
        owners: dict[str, list[str]] = {}
        for name, one in self._library.items():
            for cue in one.cues:
                owners.setdefault(cue, []).append(name)
        for cue, names in owners.items():
            for name in names:
                self._cues.add(cue, (name, 1 / math.sqrt(len(names))))

    def matches(self, text: str, sentences: list[list[Token]]) -> list[Match]:
        """Every archetype with its score, best first; equal scores in alphabetical order."""
        meaning = self._meanings(text, sentences)
        words, cues = self._word_scores(sentences)
        found = []
        for name, one in self._library.items():
            score = _MEANING * meaning[name] + (1 - _MEANING) * words[name]
            found.append(
                Match(one, round(score, 4), meaning[name], round(words[name], 4), cues[name])
            )
        return sorted(found, key=lambda match: (-match.score, match.archetype.name))

    def _meanings(self, text: str, sentences: list[list[Token]]) -> dict[str, float]:
        queries = [text[:_QUERY_CHARACTERS]]
        for sentence in sentences[:_MOST_SENTENCES]:
            query = " ".join(token.text for token in sentence if not token.is_mark)
            if len(query.split()) > 2 and query not in queries:
                queries.append(query[:_QUERY_CHARACTERS])
        near = self._embedder.embed(queries) @ self._archetype_vectors().T
        # The whole text counts fully, a single sentence of it a little less.
        near[1:] *= 0.95
        best = np.maximum(near.max(axis=0), 0.0)
        scores: dict[str, list[float]] = {name: [] for name in self._library}
        for owner, value in zip(self._owners, best, strict=True):
            scores[owner].append(float(value))
        return {name: round(min(1.0, max(values)), 4) for name, values in scores.items()}

    def _archetype_vectors(self) -> Vectors:
        with self._lock:
            if self._vectors is None:
                texts = [text for one in self._library.values() for text in one.about]
                self._vectors = self._embedder.embed(texts)
            return self._vectors

    def _word_scores(
        self, sentences: list[list[Token]]
    ) -> tuple[dict[str, float], dict[str, tuple[str, ...]]]:
        weights: dict[str, dict[str, float]] = {name: {} for name in self._library}
        cues: dict[str, list[str]] = {name: [] for name in self._library}
        position = 0
        for sentence in sentences:
            words = [token.text for token in sentence]
            for start, end, values in self._cues.find(words):
                phrase = " ".join(words[start:end])
                early = 1.5 if position + start < _TOPIC_WORDS else 1.0
                for name, weight in values:
                    key = self._identity(words[start:end])
                    if key not in weights[name]:
                        cues[name].append(phrase)
                    weights[name][key] = max(weights[name].get(key, 0.0), weight * early)
            self._add_nouns(words, weights)
            position += len(words)
        scores = {
            name: 1 - math.exp(-sum(sorted(found.values())) / 1.6)
            for name, found in weights.items()
        }
        return scores, {name: tuple(found) for name, found in cues.items()}

    def _add_nouns(self, words: list[str], weights: dict[str, dict[str, float]]) -> None:
        """The kinds of record of an archetype point to it as well, if weakly."""
        for _, _, names in lexicon().noun_index.find(words):
            for name, one in self._library.items():
                if set(names) & set(one.entities):
                    weights[name].setdefault(names[0], _NOUN_WEIGHT)

    @staticmethod
    def _identity(words: list[str]) -> str:
        """One key for a noun in all its forms, so that repeating it doesn't count again."""
        names = lexicon().noun_names(words)
        return names[0] if names else " ".join(word.lower() for word in words)
