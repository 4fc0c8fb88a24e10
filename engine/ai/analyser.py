"""The offline analyser: understands a description with no service, no key and no network."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from engine.ai.analysis import Analyser, AnalyserMaker, Analysis, Evidence, Progress
from engine.ai.archetypes import Archetype, archetypes
from engine.ai.embedding import Embedder
from engine.ai.extraction import read_facts
from engine.ai.extraction.facts import Facts
from engine.ai.extraction.naming import Concept
from engine.ai.extraction.tokens import Token, sentences
from engine.ai.extraction.vocabulary import AR_TOPIC, TOPIC
from engine.ai.lexicon import lexicon
from engine.ai.lexicon.arabic import is_arabic, stems
from engine.ai.lexicon.index import PhraseIndex
from engine.ai.offline import calling, denial, integrations
from engine.ai.offline.draft import Draft
from engine.ai.offline.fitting import Fitting
from engine.ai.offline.retrieval import Match, Retrieval
from engine.ai.screening import MEND, screen
from engine.forge.blueprint.checks import errors
from engine.forge.blueprint.model import Blueprint, IntegrationKind, Sector, Text
from engine.kernel.errors import NotUnderstood
from engine.kernel.plugins import Registry

__all__ = [
    "Analyser",
    "Analysis",
    "Evidence",
    "OfflineAnalyser",
    "Progress",
    "choose_analyser",
    "screen",
]

SERVICES = {"ANTHROPIC_API_KEY": "claude"}
"""The environment variables that hold a key, and the analyser plugin that each is for."""

ACCEPTED = 0.5
"""A domain with at least this score is taken as meant (see the calibration tests)."""
SUSPECTED = 0.38
"""Between this and `ACCEPTED` a domain is taken only if the text names nothing else."""
PLAIN_WORDS = 0.7
"""A domain whose own words are this plain is meant, whatever else stands around them."""
_SECOND_CUES = 2
_MOST_BARE = 8
_MOST_LEFT_OUT = 20


@dataclass(frozen=True)
class _Reading:
    """A description, taken apart."""

    text: str
    kept: list[list[Token]]
    denied: list[list[str]]
    facts: Facts
    matches: list[Match]

    @property
    def words(self) -> list[list[str]]:
        return [[token.text for token in sentence] for sentence in self.kept]

    @property
    def denied_nouns(self) -> set[str]:
        found = (lexicon().noun_index.find(words) for words in self.denied)
        return {name for hits in found for _, _, names in hits for name in names}


class OfflineAnalyser:
    """Finds the domain by retrieval over the archetypes and adds what the sentence itself names.

    Deterministic: equal texts give equal Blueprints. The first call loads the model; later ones
    take some milliseconds. Safe to use from several tasks and threads.
    """

    def __init__(self, embedder: Embedder, library: dict[str, Archetype] | None = None) -> None:
        self.embedder = embedder
        self._library = archetypes() if library is None else library
        self._retrieval = Retrieval(embedder, self._library)

    async def analyse(
        self, description: str, *, name: str | None = None, progress: Progress | None = None
    ) -> Analysis:
        """See `Analyser`. The work runs in a thread; `progress` is called once, at the end."""
        analysis = await asyncio.to_thread(self.understand, description, name)
        if progress:
            progress(len(analysis.blueprint.entities), "")
        return analysis

    def understand(self, description: str, name: str | None = None) -> Analysis:
        """The same as `analyse`, in the calling thread."""
        if name is not None:
            calling.checked(name)
        reading = self._read(screen(description))
        chosen = self._chosen(reading)
        draft = Draft()
        for match in chosen:
            draft.use(match.archetype, _entities(match.archetype, reading))
        if not chosen:
            _add_bare_nouns(reading)
        draft.drop(reading.denied_nouns)
        Fitting(draft, reading.facts, reading.denied_nouns).run()
        if not draft.entities:
            raise _not_understood()
        _add_integrations(draft, reading)
        draft.finish()
        _explain(draft, chosen)
        blueprint = _valid_blueprint(draft, reading, chosen, name)
        return Analysis(
            blueprint=blueprint,
            assumptions=blueprint.assumptions,
            confidence=_confidence(reading, chosen),
            archetypes=[(match.archetype.name, match.score) for match in reading.matches[:5]],
            evidence={key: draft.evidence[key] for key in blueprint.entities},
            analyser="offline",
        )

    def _read(self, text: str) -> _Reading:
        kept, denied = denial.split(sentences(text))
        facts = read_facts(kept)
        return _Reading(text, kept, denied, facts, self._retrieval.matches(text, kept))

    def _chosen(self, reading: _Reading) -> list[Match]:
        """The domains that the text is about: none, one or two. Raises `NotUnderstood`."""
        best, *others = reading.matches
        enough = ACCEPTED if reading.facts.count else SUSPECTED
        plain = best.words >= PLAIN_WORDS and len(best.cues) >= _SECOND_CUES
        if best.score < enough and not plain:
            if not reading.facts.count and not reading.facts.topics:
                raise _not_understood()
            return []
        for other in others:
            own = [cue for cue in other.cues if cue not in best.cues]
            if other.score >= ACCEPTED and len(own) >= _SECOND_CUES:
                return [best, other]
        return [best]


def _not_understood() -> NotUnderstood:
    return NotUnderstood("No kind of platform could be recognised in this description.", mend=MEND)


def _entities(archetype: Archetype, reading: _Reading) -> list[str]:
    """The core of the archetype and what the text mentions of the rest."""
    index: PhraseIndex[str] = PhraseIndex()
    for entity, cues in archetype.entity_cues.items():
        for cue in cues:
            index.add(cue, entity)
    mentioned: set[str] = set()
    for words in reading.words:
        for _, _, names in lexicon().noun_index.find(words):
            mentioned.update(names)
        for _, _, names in index.find(words):
            mentioned.update(names)
    wanted = [name for name in archetype.entities if name in archetype.core or name in mentioned]
    return [name for name in wanted if name not in reading.denied_nouns]


def _add_bare_nouns(reading: _Reading) -> None:
    """With no domain and hardly a pattern, the nouns of the text are all there is to go by."""
    facts = reading.facts
    for concept in facts.topics:
        if not facts.entities and concept.kind != "person":
            facts.entity(concept, concept.text)
    if len(facts.entities) > 1 or facts.members:
        return
    for words in reading.words:
        for start, end, names in lexicon().noun_index.find(words):
            noun = lexicon().nouns[names[0]]
            first = words[start].lower()
            topic = first in TOPIC or bool(set(stems(first)) & AR_TOPIC)
            if noun.kind != "person" and not topic and len(facts.entities) < _MOST_BARE:
                concept = _concept(names, " ".join(words[start:end]))
                facts.entity(concept, concept.text)


def _concept(names: list[str], text: str) -> Concept:
    noun = lexicon().nouns[names[0]]
    return Concept(noun.name, noun.title, noun.plural, noun.kind, tuple(names), text)


def _add_integrations(draft: Draft, reading: _Reading) -> None:
    asked = integrations.find(reading.words)
    denied = integrations.find(reading.denied)
    for kind, methods in asked.items():
        if kind in denied and not methods:
            continue
        draft.integrations[kind.value] = integrations.integration(kind, methods)
    for archetype in draft.used:
        for kind in archetype.integrations:
            if kind in denied or kind.value in draft.integrations:
                continue
            draft.integrations[kind.value] = integrations.integration(kind)
            title = integrations.PURPOSES[kind]
            draft.assume(
                f"Such platforms usually need this, so it is included: {title.en}.",
                f"تحتاجه هذه المنصات عادة فأُضيف: {title.ar}.",
            )
    payments = draft.integrations.get(IntegrationKind.PAYMENTS.value)
    if payments and not asked.get(IntegrationKind.PAYMENTS):
        draft.assume(
            "No payment method was named; mada and cards are assumed.",
            "لم تُذكر طريقة دفع، فافتُرضت مدى والبطاقات.",
        )
    for kind in denied:
        title = integrations.PURPOSES[kind]
        if kind.value not in draft.integrations:
            draft.assume(
                f"Left out because the description says so: {title.en}.",
                f"استُبعد لأن الوصف ينفيه: {title.ar}.",
            )


def _explain(draft: Draft, chosen: list[Match]) -> None:
    for match in chosen:
        title = match.archetype.title
        draft.assume(
            f"Modelled on this domain: {title.en}.", f"بُنيت على نموذج هذا المجال: {title.ar}."
        )
    assumed = [
        name
        for name, evidence in draft.evidence.items()
        if evidence.source == "archetype" and name in draft.entities
    ]
    if assumed:
        english = ", ".join(draft.entities[name].title.en or name for name in assumed)
        arabic = "، ".join(draft.entities[name].title.ar or name for name in assumed)
        draft.assume(
            f"Taken from the domain, fields included: {english}.",
            f"أُخذت من المجال بحقولها: {arabic}.",
        )
    if not chosen:
        draft.assume(
            "No known domain fits; only what the text names is included.",
            "لا يوجد مجال معروف مطابق؛ أُدرج ما ذكره النص فقط.",
        )


def _valid_blueprint(
    draft: Draft, reading: _Reading, chosen: list[Match], name: str | None
) -> Blueprint:
    """The draft as a Blueprint that passes the checks.

    What the language doesn't allow (a name of the text that meets another one in code) is left
    out, and said so.
    """
    for _ in range(_MOST_LEFT_OUT):
        found = _blueprint(draft, reading, chosen, name)
        problems = errors(found)
        if not problems:
            return found
        place = ".".join(map(str, problems[0].path[1:4:2]))
        if not draft.leave_out(problems[0].path):
            break
        draft.finish()
        draft.assume(
            f"Left out, as its name can't be used in code: {place}.",
            f"استُبعد لأن اسمه لا يصلح في الشيفرة: {place}.",
        )
    raise RuntimeError(f"the analyser built an invalid Blueprint: {problems[0].message}")


def _blueprint(draft: Draft, reading: _Reading, chosen: list[Match], name: str | None) -> Blueprint:
    proper = calling.named_in(reading.text)
    derived = calling.slug(proper) if proper else None
    if derived is None and chosen:
        derived = calling.of_domains([match.archetype.name for match in chosen])
    compliance = [rule for match in chosen for rule in match.archetype.compliance]
    return Blueprint.model_validate(
        {
            "name": name or derived or calling.of_entity(next(iter(draft.entities))),
            "title": _title(draft, chosen, proper),
            "description": reading.text,
            "sector": chosen[0].archetype.sector if chosen else Sector.GENERAL,
            "compliance": list(dict.fromkeys(compliance)),
            "roles": draft.roles,
            "enums": draft.enums,
            "entities": draft.entities,
            "integrations": draft.integrations,
            # Whoever describes a platform in words wants people to use it.
            "stack": {"frontend": "react"},
            "assumptions": draft.assumptions,
        }
    )


def _title(draft: Draft, chosen: list[Match], proper: str | None) -> Text:
    if proper:
        return Text(ar=proper) if is_arabic(proper) else Text(en=proper)
    if chosen:
        titles = [match.archetype.title for match in chosen]
        return Text(
            en=" and ".join(title.en or "" for title in titles),
            ar=" و".join(title.ar or "" for title in titles),
        )
    return next(iter(draft.entities.values())).plural


def _confidence(reading: _Reading, chosen: list[Match]) -> float:
    """How sure: from the score of the domain, its lead over the next, and what the text names."""
    named = min(reading.facts.count, 6)
    if not chosen:
        return round(min(0.6, 0.25 + 0.05 * named), 2)
    others = [match for match in reading.matches if match not in chosen]
    lead = chosen[-1].score - others[0].score if others else chosen[0].score
    return round(min(0.98, max(0.2, 0.8 * chosen[0].score + 0.3 * lead + 0.01 * named)), 2)


def choose_analyser(embedder: Embedder, env: Mapping[str, str]) -> Analyser:
    """The analyser of the first service that `env` has a key for, with the offline one behind it;
    the offline one alone if there is no key. See `SERVICES`."""
    offline = OfflineAnalyser(embedder)
    makers: Registry[AnalyserMaker] = Registry("analysers", AnalyserMaker)  # type: ignore[type-abstract]
    for variable, name in SERVICES.items():
        if env.get(variable, "").strip():
            return makers.get(name).make(offline, env)
    return offline
