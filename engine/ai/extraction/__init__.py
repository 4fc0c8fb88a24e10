"""Reads entities, fields and deeds that a description names, by patterns of both languages."""

from __future__ import annotations

from engine.ai.extraction.arabic import ArabicReader
from engine.ai.extraction.english import EnglishReader
from engine.ai.extraction.facts import Facts
from engine.ai.extraction.tokens import Token


def read_facts(sentences: list[list[Token]]) -> Facts:
    """Everything that the patterns find in these sentences, in the order of the text."""
    facts = Facts()
    english, arabic = EnglishReader(facts), ArabicReader(facts)
    for sentence in sentences:
        if any(token.is_arabic for token in sentence):
            arabic.read(sentence)
        if any(not (token.is_arabic or token.is_mark) for token in sentence):
            english.read(sentence)
    return facts
