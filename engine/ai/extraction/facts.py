"""What was read from a text, before it is fitted to a domain."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.ai.extraction.naming import Concept, Phrase


@dataclass(frozen=True)
class Deed:
    """Somebody does something to a kind of record; `act` is the record that it leaves, if any."""

    actor: Concept
    act: str | None
    thing: Concept
    text: str


@dataclass
class Facts:
    """Mentions in the order of the text. `strong` entities are named by a pattern of their own."""

    entities: dict[str, Concept] = field(default_factory=dict)
    spans: dict[str, str] = field(default_factory=dict)
    members: list[tuple[str, Phrase]] = field(default_factory=list)
    deeds: list[Deed] = field(default_factory=list)
    topics: list[Concept] = field(default_factory=list)

    def entity(self, concept: Concept, span: str) -> str:
        """Note a kind of record; the first mention gives its title. Returns its name."""
        self.entities.setdefault(concept.name, concept)
        self.spans.setdefault(concept.name, span)
        return concept.name

    def member(self, owner: str, phrase: Phrase) -> None:
        if (owner, phrase) not in self.members:
            self.members.append((owner, phrase))

    @property
    def count(self) -> int:
        return len(self.entities) + len(self.members) + len(self.deeds)
