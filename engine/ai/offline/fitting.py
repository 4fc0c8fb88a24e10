"""Fits what the text names into the draft: into known entities where they fit, else as new ones."""

from __future__ import annotations

from collections.abc import Iterable

from engine.ai.extraction.facts import Deed, Facts
from engine.ai.extraction.naming import Concept, Phrase, concept_of, field_of
from engine.ai.lexicon import english, lexicon
from engine.ai.offline.draft import Draft
from engine.ai.offline.records import (
    bare_entity,
    complete,
    entity_name,
    member_name,
    relation_name,
)
from engine.forge.blueprint.model import Access, Role, Scope
from engine.forge.blueprint.names import class_name, snake_case

STAFF = "staff"
MEMBER = "member"
_EACH = frozenset({"each", "every", "per", "لكل", "كل", "بكل"})
_ALL = Access(create=Scope.ALL, read=Scope.ALL, update=Scope.ALL, delete=Scope.ALL)
_READ = Access(read=Scope.ALL)
_OWN = Access(create=Scope.ALL, read=Scope.OWN, delete=Scope.OWN)


class Fitting:
    """One description being fitted. `denied` are the nouns that the text doesn't want."""

    def __init__(self, draft: Draft, facts: Facts, denied: set[str]) -> None:
        self._draft = draft
        self._facts = facts
        self._denied = denied
        self._new: dict[str, Concept] = {}
        self._aliases: dict[str, str] = {}
        self._actors: dict[str, set[str]] = {}

    def run(self) -> None:
        """Fit entities, then their members, then who does what; last, complete the new ones."""
        self._find_aliases()
        for name, concept in self._facts.entities.items():
            if not self._is_topic(concept, self._facts.spans[name]):
                self._place(concept, self._facts.spans[name])
        for owner, phrase in self._facts.members:
            self._fit_member(self._facts.entities[owner], phrase)
        for deed in self._facts.deeds:
            self._fit_deed(deed)
        for name, concept in self._new.items():
            if name in self._draft.entities:
                self._open(name, concept)
                complete(self._draft, name, concept)

    def _find_aliases(self) -> None:
        """`Kiln` after `ceramic kiln` means the same; the one that the lexicon knows is kept."""
        entities = self._facts.entities
        for name in entities:
            longer = next((one for one in entities if one != name and one.endswith(name)), None)
            if longer is None or entities[longer].known:
                continue
            if entities[name].known:
                self._aliases[longer] = name
            else:
                self._aliases[name] = longer

    def _is_topic(self, concept: Concept, span: str) -> bool:
        """Is it the organisation itself (a school has classes) rather than a record of it?"""
        if not self._draft.used or concept.kind != "place":
            return False
        if span.split(" ")[0].lower() in _EACH or self._resolve(concept):
            return False
        cues = {cue for one in self._draft.used for cue in one.cues}
        titles = {(concept.title.en or "").lower(), concept.title.ar or ""}
        return bool(titles & cues)

    def _resolve(self, concept: Concept) -> str | None:
        """The entity of the draft, or of a used archetype, that the concept means."""
        name = self._aliases.get(concept.name, concept.name)
        if entity_name(name) in self._draft.entities:
            return entity_name(name)
        for entity in self._draft.entities:
            if entity in concept.known:
                return entity
        for archetype in self._draft.used:
            for entity in archetype.entities:
                if entity in concept.known and entity not in self._denied:
                    self._draft.take(archetype, entity)
                    return entity
        return None

    def _place(self, concept: Concept, span: str) -> str | None:
        """The entity for a concept; a new one if there is none. None if it isn't wanted."""
        found = self._resolve(concept)
        if found is None and concept.name in self._aliases:
            concept = self._facts.entities[self._aliases[concept.name]]
            found = self._resolve(concept)
        if found is not None or self._denied & {concept.name, *concept.known}:
            return found
        if self._is_merchandise(concept):
            return None
        name = entity_name(self._aliases.get(concept.name, concept.name))
        if name in map(class_name, self._draft.enums):
            name = f"{name[:34]}Record"
        if _meets(name, self._draft.entities):
            return None
        self._draft.add_entity(name, bare_entity(concept), span)
        if name in self._draft.entities:
            self._new[name] = concept
            self._note_new(concept, name)
            return name
        return None

    def _is_merchandise(self, concept: Concept) -> bool:
        """In a shop, a thing that is only mentioned is a product, not a kind of record."""
        owners = {owner for owner, _ in self._facts.members}
        sells = "Product" in self._draft.entities
        return sells and concept.kind == "thing" and concept.name not in owners

    def _note_new(self, concept: Concept, name: str) -> None:
        if not concept.known and concept.title.ar and not concept.title.en:
            self._draft.assume(
                f"“{concept.title.ar}” is written {name} in code; rename it as you like.",
                f"كُتب «{concept.title.ar}» في الشيفرة بالاسم {name}؛ ويمكن تغييره.",
            )

    def _fit_member(self, owner_concept: Concept, phrase: Phrase) -> None:
        owner = self._resolve(owner_concept)
        if owner is None:
            if self._is_topic(owner_concept, self._facts.spans[owner_concept.name]):
                self._from_topic(phrase)
            return
        if self._is_denied(phrase):
            return
        if not self._is_field(phrase) and self._link(owner, phrase):
            return
        name, spec = field_of(phrase)
        if name == "title" and phrase.is_arabic and owner_concept.kind in {"place", "person"}:
            # The Arabic word for a title is also the word for an address.
            name, spec = "address", lexicon().fields["address"]
        added = self._draft.add_field(owner, member_name(name), spec)
        if added and spec.currency:
            self._draft.assume(
                "Amounts are in Saudi riyals (SAR), as no currency was named.",
                "المبالغ بالريال السعودي لعدم ذكر عملة.",
            )

    def _from_topic(self, phrase: Phrase) -> None:
        """What the organisation has: records that are known, never fields of it."""
        if not self._is_field(phrase) and lexicon().noun_names(list(phrase.words)):
            self._place(concept_of(phrase), phrase.text)

    def _is_denied(self, phrase: Phrase) -> bool:
        return bool(self._denied & set(lexicon().noun_names(list(phrase.words))))

    def _is_field(self, phrase: Phrase) -> bool:
        return (
            phrase.counted
            or phrase.unit is not None
            or (
                lexicon().field_name(list(phrase.words)) is not None and not self._is_entity(phrase)
            )
        )

    def _is_entity(self, phrase: Phrase) -> bool:
        """Do the words name a record that the draft or its archetypes already have?"""
        names = lexicon().noun_names(list(phrase.words))
        known = {*self._draft.entities, *(n for one in self._draft.used for n in one.entities)}
        return bool(known & set(names[:3]))

    def _link(self, owner: str, phrase: Phrase) -> bool:
        """Take a member as a record of its own, related to the owner. False if it isn't one."""
        concept = concept_of(phrase)
        plural = not phrase.is_arabic and english.is_plural(phrase.words[-1].lower())
        if not concept.known and not plural:
            return False
        other = self._place(concept, phrase.text)
        if other is None or other == owner:
            return other is not None
        if concept.kind == "person":
            self._draft.relate(owner, other, relation_name(other), many=plural)
        elif concept.kind in {"act", "paper"} or plural:
            self._draft.relate(other, owner, relation_name(owner))
        else:
            self._draft.relate(owner, other, relation_name(other))
        return True

    def _fit_deed(self, deed: Deed) -> None:
        known = self._resolve(deed.thing)
        if (known is None and not self._draft.used) or known in self._new:
            self._new_deed(deed, known)
        elif known is None and (deed.thing.known or _is_plural(deed.thing)):
            if deed.thing.kind != "person":
                self._new_deed(deed, None)
        elif known is not None:
            self._role_in_archetype(deed, known)

    def _new_deed(self, deed: Deed, known: str | None) -> None:
        thing = known or self._place(deed.thing, deed.text)
        if thing is None:
            return
        role = self._role(deed.actor, signs_up=deed.act is not None)
        self._actors.setdefault(thing, set()).add(role)
        self._draft.allow(thing, role, _READ)
        act = lexicon().nouns.get(deed.act or "")
        if act is None or deed.thing.kind == "act":
            if deed.thing.kind == "act":
                self._draft.allow(thing, role, _OWN)
            return
        concept = Concept(act.name, act.title, act.plural, act.kind, (act.name,))
        if self._draft.used and self._resolve(concept):
            record = self._resolve(concept)
        else:
            record = self._place(concept, deed.text)
        if record and record != thing:
            self._draft.relate(record, thing, relation_name(thing))
            self._draft.allow(record, role, _OWN)
            self._actors.setdefault(record, set()).add(role)

    def _role_in_archetype(self, deed: Deed, thing: str) -> None:
        """A new kind of actor on a known record may read it; a known actor has rights already."""
        role = snake_case(deed.actor.name)
        entity = self._draft.entities[thing]
        stands_for = {snake_case(name) for name in deed.actor.known} | {role}
        if stands_for & set(self._draft.roles) or self._resolve(deed.actor):
            return
        if deed.act is None and deed.actor.known and entity.access:
            self._role(deed.actor, signs_up=False)
            self._draft.allow(thing, role, _READ)

    def _role(self, actor: Concept, *, signs_up: bool) -> str:
        for name in (snake_case(actor.name), *map(snake_case, actor.known)):
            if name in self._draft.roles:
                return name
        name = member_name(snake_case(actor.name))
        self._draft.roles[name] = Role(title=actor.title, self_registration=signs_up)
        return name

    def _open(self, name: str, concept: Concept) -> None:
        """Who may use a new record: the staff fully, others only as far as the text shows."""
        for role in self._staff():
            self._draft.allow(name, role, _ALL)
        if self._draft.used:
            for role, spec in self._draft.roles.items():
                if not spec.self_registration:
                    self._draft.allow(name, role, _READ)
        elif concept.kind not in {"person", "act"} and not self._actors.get(name):
            readers = [r for r, spec in self._draft.roles.items() if r != STAFF]
            for role in readers:
                self._draft.allow(name, role, _READ)

    def _staff(self) -> list[str]:
        if self._draft.used:
            first = self._draft.used[0]
            return [next(role for role in first.roles)]
        self._draft.roles.setdefault(STAFF, Role(title=lexicon().text(STAFF)))
        if len(self._draft.roles) == 1:
            member = Role(title=lexicon().text(MEMBER), self_registration=True)
            self._draft.roles[MEMBER] = member
            self._draft.assume(
                "No roles were named: staff manage everything, members may sign up and look.",
                "لم تُذكر أدوار: الموظف يدير كل شيء، والعضو يسجل ويطلع.",
            )
        return [STAFF]


def _meets(name: str, entities: Iterable[str]) -> bool:
    """Would the table of this name be the table of another entity?"""
    folded = name.lower()
    others = [other.lower() for other in entities]
    return any(folded == o or folded == f"{o}s" or o == f"{folded}s" for o in others)


def _is_plural(concept: Concept) -> bool:
    return bool(concept.text) and english.is_plural(concept.text.split(" ")[-1].lower())
