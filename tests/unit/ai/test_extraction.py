from __future__ import annotations

import pytest

from engine.ai.extraction import read_facts
from engine.ai.extraction.naming import field_of
from engine.ai.extraction.tokens import sentences


def members(text: str) -> dict[str, dict[str, str]]:
    """Owner to field name to type, as the patterns alone read them."""
    found: dict[str, dict[str, str]] = {}
    for owner, phrase in read_facts(sentences(text)).members:
        name, spec = field_of(phrase)
        found.setdefault(owner, {})[name] = spec.type.value
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "each greenhouse has a humidity reading and a location",
            {"Greenhouse": {"humidity": "decimal", "location": "string"}},
        ),
        (
            "each telescope has an aperture in centimetres",
            {"Telescope": {"aperture": "decimal"}},
        ),
        ("لكل منحل موقع وعدد خلايا", {"Apiary": {"location": "string", "hive_count": "integer"}}),
        (
            "For each hive we record its location, number of frames and queen age.",
            {"Hive": {"location": "string", "frame_count": "integer", "queen_age": "integer"}},
        ),
        (
            "The price and harvest date of every date palm matter",
            {"DatePalm": {"price": "money", "harvest_date": "date"}},
        ),
        ("Books have a title, pages", {"Book": {"title": "string", "pages": "integer"}}),
        (
            "كل مخطوطة لها عنوان وسنة نسخ وعدد أوراق",
            {
                "Manuscript": {
                    "title": "string", "book_copy_year": "integer", "waraq_count": "integer"
                }
            },
        ),
        (
            "لكل قارب طول بالمتر ولون وتاريخ صنع، ولكل بحار هاتف وصورة",
            {
                "Boat": {"length": "decimal", "colour": "string", "sana_date": "date"},
                "Bahar": {"phone": "phone", "photo_url": "url"},
            },
        ),
        (
            "Track falcons with their ring number and weight",
            {"Falcon": {"ring_number": "string", "weight_kg": "decimal"}},
        ),
        ("Every quarrel has a grudge rating", {"Quarrel": {"grudge_rating": "integer"}}),
        (
            "each kiln has a maximum temperature in celsius",
            {"Kiln": {"maximum_temperature": "decimal"}},
        ),
        (
            "each vat has an entry fee and an arrival time",
            {"Vat": {"fee": "money", "arrival_time": "time"}},
        ),
        ("لكل خيمة سعر وإيميل", {"Tent": {"price": "money", "email": "email"}}),
    ],
)  # fmt: skip
def test_fields_that_the_sentence_names(text: str, expected: dict[str, dict[str, str]]) -> None:
    assert members(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("We manage ceramic kilns, glazes and firings.", ["CeramicKiln", "Glaze", "Firing"]),
        ("A system for tracking zeppelins and their hangars", ["Zeppelin"]),
        ("نظام لإدارة المناحل ومتابعة الأرصفة", ["Apiary", "Dock"]),
        ("تسجيل القوارب والبحارين", ["Boat", "Bahar"]),
        ("A platform for beekeepers: hives, harvests and honey sales",
         ["Hive", "Harvest", "HoneySale"]),
        ("hello how are you", []),
        ("The weather is nice and I like it very much", []),
    ],
)  # fmt: skip
def test_entities_that_the_sentence_names(text: str, expected: list[str]) -> None:
    assert list(read_facts(sentences(text)).entities) == expected


def test_who_does_what() -> None:
    facts = read_facts(sentences("A platform where astronomers reserve telescopes and rate domes"))
    assert [(d.actor.name, d.act, d.thing.name) for d in facts.deeds] == [
        ("Astronomer", "Reservation", "Telescope"),
        ("Astronomer", "Review", "Dome"),
    ]
    facts = read_facts(sentences("يستعير الفلكيون التلسكوبات"))
    assert [(d.actor.name, d.act, d.thing.name) for d in facts.deeds] == [
        ("Astronomer", "Loan", "Telescope")
    ]


def test_an_unknown_arabic_noun_keeps_its_word() -> None:
    facts = read_facts(sentences("لكل زمردة وزن"))
    (concept,) = facts.entities.values()
    assert concept.name == "Zamrada"
    assert concept.title.ar == "زمردة"
    assert concept.title.en is None


def test_an_unknown_english_noun_has_no_arabic() -> None:
    (concept,) = read_facts(sentences("each quokka has a weight")).entities.values()
    assert (concept.name, concept.title.en, concept.title.ar) == ("Quokka", "Quokka", None)


def test_a_synonym_keeps_the_words_of_the_text() -> None:
    (concept,) = read_facts(sentences("each supervisor has a phone")).entities.values()
    assert (concept.name, concept.title.en, concept.title.ar) == (
        "Supervisor",
        "Supervisor",
        "مدير",
    )
    assert "Manager" in concept.known


def test_units_are_kept_in_the_title() -> None:
    ((_, phrase),) = read_facts(sentences("each mast has a height in metres")).members
    name, spec = field_of(phrase)
    assert (name, spec.type, spec.title.en) == ("height", "decimal", "Height (metres)")
