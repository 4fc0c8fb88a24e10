"""What a noun phrase of the text becomes: a kind of record, or a typed field."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from engine.ai.lexicon import CURRENCY, arabic, english, lexicon
from engine.forge.blueprint.model import FieldSpec, FieldType, Text

_MAX_NAME = 36
_DECIMALS = frozenset(
    """
    level percentage ratio length width depth area volume size speed distance reading diameter
    aperture radius pressure altitude magnitude mass density angle frequency thickness brightness
    salinity moisture acidity yield efficiency output weight height temperature wavelength
    luminosity elevation rainfall wingspan rate load strength viscosity
    """.split()  # noqa: SIM905
)
_MONEY = frozenset({"tariff", "toll", "premium", "revenue", "profit", "debt", "dowry", "bonus"})
_INTEGERS = frozenset({"total", "population", "stock", "rank", "duration", "attempts"})
_TEXTS = frozenset({"history", "story", "bio", "instructions", "details", "observations"})
_BOOLEAN_HEADS = frozenset({"is", "has", "whether"})
_ARABIC_DECIMALS = frozenset(
    [
        "فتحه",
        "قطر",
        "كتله",
        "كثافه",
        "تركيز",
        "معدل",
        "قوه",
        "زاويه",
        "سماكه",
        "ملوحه",
        "انتاجيه",
        "سطوع",
        "تردد",
        "نصف",
    ]
)
_UNIT_ENDING = re.compile(r"_(cm|kg|km|minutes|days|square_metres|percent)$")
_UNITS = {
    "centimetre": "decimal", "centimeter": "decimal", "cm": "decimal", "mm": "decimal",
    "millimetre": "decimal", "millimeter": "decimal", "metre": "decimal", "meter": "decimal",
    "km": "decimal", "kilometre": "decimal", "kilometer": "decimal", "kg": "decimal",
    "kilogram": "decimal", "kilo": "decimal", "gram": "decimal", "tonne": "decimal",
    "ton": "decimal", "litre": "decimal", "liter": "decimal", "ml": "decimal",
    "celsius": "decimal", "fahrenheit": "decimal", "degree": "decimal", "percent": "decimal",
    "watt": "decimal", "kilowatt": "decimal", "kw": "decimal", "volt": "decimal",
    "inch": "decimal", "foot": "decimal", "hectare": "decimal", "acre": "decimal",
    "hour": "decimal", "minute": "integer", "day": "integer", "month": "integer",
    "year": "integer", "week": "integer", "riyal": "money", "sar": "money", "dollar": "money",
    "سنتيمتر": "decimal", "سنتمتر": "decimal", "ملليمتر": "decimal", "مليمتر": "decimal",
    "متر": "decimal", "امتار": "decimal", "كيلومتر": "decimal", "كيلوغرام": "decimal",
    "كيلوجرام": "decimal", "كيلو": "decimal", "غرام": "decimal", "جرام": "decimal",
    "طن": "decimal", "اطنان": "decimal", "لتر": "decimal", "ميليه": "decimal",
    "درجه": "decimal", "ميه": "decimal", "مءه": "decimal", "هكتار": "decimal",
    "ساعه": "decimal", "دقيقه": "integer", "دقايق": "integer", "يوم": "integer",
    "ايام": "integer", "شهر": "integer", "سنه": "integer", "ريال": "money",
}  # fmt: skip


@dataclass(frozen=True)
class Phrase:
    """A noun phrase: its words as written, without determiners."""

    words: tuple[str, ...]
    unit: str | None = None
    counted: bool = False
    unique: bool = False
    optional: bool = False

    @property
    def is_arabic(self) -> bool:
        return arabic.is_arabic(self.words[0])

    @property
    def text(self) -> str:
        return " ".join(self.words)


@dataclass(frozen=True)
class Concept:
    """A kind of record named by the text. `known` lists the records of the lexicon it may be."""

    name: str
    title: Text
    plural: Text
    kind: str
    known: tuple[str, ...] = ()
    text: str = field(default="", compare=False)


def unit_kind(word: str) -> str | None:
    """`decimal`, `integer` or `money` if `word` names a unit of measure or of money."""
    if arabic.is_arabic(word):
        return next((_UNITS[stem] for stem in arabic.stems(word) if stem in _UNITS), None)
    return _UNITS.get(english.singular(word.lower()))


def concept_of(phrase: Phrase) -> Concept:
    """The kind of record that the phrase names, known to the lexicon or new."""
    words = list(phrase.words)
    names = lexicon().noun_names(words)
    if names:
        noun = lexicon().nouns[names[0]]
        known = Concept(noun.name, noun.title, noun.plural, noun.kind, tuple(names), phrase.text)
        return known if phrase.is_arabic else _in_own_words(known, words)
    if phrase.is_arabic:
        return _new_arabic(phrase)
    singulars = [word.lower() for word in words]
    singulars[-1] = english.singular(singulars[-1])
    title = english.title_of(" ".join(singulars))
    kind = "person" if is_agent(singulars[-1]) else "thing"
    return Concept(
        name=_type_name(singulars),
        title=Text(en=title),
        plural=Text(en=english.plural(title)),
        kind=kind,
        text=phrase.text,
    )


def _in_own_words(known: Concept, words: list[str]) -> Concept:
    """A synonym of the text (supervisor) stays the name, rather than the lexicon's (manager)."""
    own = [word.lower() for word in words]
    own[-1] = english.singular(own[-1])
    spoken = " ".join(own)
    if spoken.replace(" ", "") == known.name.lower() or not re.fullmatch(r"[a-z ]+", spoken):
        return known
    title = english.title_of(spoken)
    return replace(
        known,
        name=_type_name(own),
        title=Text(en=title, ar=known.title.ar),
        plural=Text(en=english.plural(title), ar=known.plural.ar),
    )


def _new_arabic(phrase: Phrase) -> Concept:
    words = [arabic.singular(word) for word in phrase.words]
    kind = "person" if re.search(r"(ون|ين|و)$", arabic.fold(phrase.words[0])) else "thing"
    head, *rest = words
    return Concept(
        name=_type_name([identifier(word) for word in [*rest, head]]),
        title=Text(ar=" ".join(words)[:200]),
        plural=Text(ar=" ".join(_bare(word) for word in phrase.words)[:200]),
        kind=kind,
        text=phrase.text,
    )


def is_agent(word: str) -> bool:
    """Does an unknown English noun look like a person (beekeeper, inspector, botanist)?"""
    return len(word) > 4 and word.endswith(
        ("er", "or", "ist", "ian", "man", "eer", "ant", "master", "logist")
    )


def identifier(word: str) -> str:
    """A word as part of an identifier; an Arabic one by its lexicon name, else transliterated."""
    if not arabic.is_arabic(word):
        return re.sub(r"[^a-z0-9]", "", word.lower())
    names = lexicon().noun_names([word])
    if names:
        return english.words_of(names[0]).replace(" ", "_")
    return lexicon().field_name([word]) or arabic.transliterate(_bare(word))


def field_of(phrase: Phrase) -> tuple[str, FieldSpec]:
    """Name and type of the field that the phrase names."""
    words = list(phrase.words)
    if phrase.counted:
        words = ["عدد", *words] if phrase.is_arabic else ["number", "of", *words]
    known = lexicon().field_name(words)
    if known:
        spec = lexicon().fields[known]
        name, title = known, spec.title
        if phrase.unit and _UNIT_ENDING.search(known):
            name, title = _UNIT_ENDING.sub("", known), _field_title(phrase)
        if spec.type is FieldType.ENUM:
            spec = FieldSpec(type=FieldType.STRING, max_length=80)
    else:
        name, title = _member_name(phrase), _field_title(phrase)
        spec = _inferred(phrase)
    if phrase.unit:
        spec = _measured(spec, phrase.unit)
        title = Text(
            en=f"{title.en} ({phrase.unit})" if title.en and not phrase.is_arabic else title.en,
            ar=f"{title.ar} ({phrase.unit})" if title.ar and phrase.is_arabic else title.ar,
        )
    unique = phrase.unique and spec.type is not FieldType.BOOLEAN
    return name, spec.model_copy(update={"title": title, "unique": unique})


def _inferred(phrase: Phrase) -> FieldSpec:
    """The type of an unknown field, from its head word: the first in Arabic, the last else."""
    if phrase.counted:
        return FieldSpec(type=FieldType.INTEGER, min=0)
    words = phrase.words
    parts = [words[:end] for end in range(len(words) - 1, 0, -1)]
    if not phrase.is_arabic:
        parts = [words[start:] for start in range(1, len(words))]
    for part in parts:
        known = lexicon().field_name(list(part))
        if known and lexicon().fields[known].type is not FieldType.ENUM:
            return _without_bounds(lexicon().fields[known])
    return _by_head(phrase)


def _by_head(phrase: Phrase) -> FieldSpec:
    decimal = FieldSpec(type=FieldType.DECIMAL, precision=14, scale=3)
    if phrase.is_arabic:
        stems = arabic.stems(phrase.words[0])
        return decimal if _ARABIC_DECIMALS & set(stems) else _string()
    head = english.singular(phrase.words[-1].lower())
    if phrase.words[0].lower() in _BOOLEAN_HEADS:
        return FieldSpec(type=FieldType.BOOLEAN)
    if head in _DECIMALS:
        return decimal
    if head in _MONEY:
        return FieldSpec(type=FieldType.MONEY, currency=CURRENCY, min=0)
    if head in _INTEGERS:
        return FieldSpec(type=FieldType.INTEGER, min=0)
    if phrase.words[-1].lower() in _TEXTS:
        return FieldSpec(type=FieldType.TEXT, max_length=4000)
    return _string()


def _string() -> FieldSpec:
    return FieldSpec(type=FieldType.STRING, max_length=200)


def _without_bounds(spec: FieldSpec) -> FieldSpec:
    if spec.type is FieldType.STRING:
        return _string()
    keep = {"min": spec.min if spec.min == 0 else None, "max": None, "data_class": None}
    return spec.model_copy(update=keep)


def _measured(spec: FieldSpec, unit: str) -> FieldSpec:
    kind = unit_kind(unit)
    if spec.type in {FieldType.INTEGER, FieldType.DECIMAL, FieldType.MONEY} or kind is None:
        return spec
    if kind == "money":
        return FieldSpec(type=FieldType.MONEY, currency=CURRENCY, min=0)
    if kind == "integer":
        return FieldSpec(type=FieldType.INTEGER, min=0)
    return FieldSpec(type=FieldType.DECIMAL, precision=14, scale=3)


def _member_name(phrase: Phrase) -> str:
    if phrase.counted:
        words = [identifier(_one(word)) for word in phrase.words]
        return _limited([*words, "count"])
    if not phrase.is_arabic:
        return _limited([identifier(word) for word in phrase.words])
    first, *rest = phrase.words
    head = lexicon().field_name([first])
    if head and rest:
        return _limited([*(identifier(_one(word)) for word in rest), head])
    return _limited([identifier(_one(word)) for word in phrase.words])


def _one(word: str) -> str:
    return arabic.singular(word) if arabic.is_arabic(word) else english.singular(word.lower())


def _field_title(phrase: Phrase) -> Text:
    if phrase.is_arabic:
        head = "عدد " if phrase.counted else ""
        first = _bare(phrase.words[0]) if len(phrase.words) == 1 else phrase.words[0]
        words = [first, *phrase.words[1:]] if not phrase.counted else list(phrase.words)
        return Text(ar=(head + " ".join(words))[:200])
    head = "number of " if phrase.counted else ""
    return Text(en=english.title_of(head + phrase.text.lower())[:200])


def _bare(word: str) -> str:
    return word[2:] if word.startswith("ال") and len(word) > 4 else word


def _limited(parts: list[str]) -> str:
    name = re.sub(r"_+", "_", "_".join(part for part in parts if part)).strip("_")
    name = name[:_MAX_NAME].rstrip("_")
    return name if re.match(r"[a-z]", name) else f"field_{name}".rstrip("_")


def _type_name(parts: list[str]) -> str:
    name = "".join(piece.capitalize() for part in parts for piece in part.split("_"))
    name = re.sub(r"[^A-Za-z0-9]", "", name)[:_MAX_NAME]
    return name if re.match(r"[A-Z]", name) else f"Record{name}"
