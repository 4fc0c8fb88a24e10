from __future__ import annotations

import re

import pytest

from engine.ai.lexicon import arabic, english, lexicon
from engine.ai.lexicon.index import PhraseIndex
from engine.forge.blueprint.checks import check
from engine.forge.blueprint.model import Blueprint, Entity, EnumSpec, FieldType, Text


def test_it_is_large_and_bilingual() -> None:
    words = lexicon()
    assert len(words.nouns) >= 250
    for noun in words.nouns.values():
        assert noun.title.en and noun.title.ar and noun.plural.en and noun.plural.ar
        assert noun.kind in {"person", "place", "thing", "act", "paper"}, noun.name
    for name, spec in words.fields.items():
        assert spec.title.en and spec.title.ar, name


def test_every_field_is_valid_in_a_blueprint() -> None:
    for name, spec in lexicon().fields.items():
        enums = {}
        if spec.type is FieldType.ENUM:
            enums[name] = EnumSpec(values={"one": Text(en="One")})
        entity = Entity(fields={name: spec})
        blueprint = Blueprint(name="probe", enums=enums, entities={"Probe": entity})
        assert [finding.message for finding in check(blueprint)] == []


@pytest.mark.parametrize(
    ("word", "noun"),
    [
        ("المرضى", "Patient"), ("مريض", "Patient"), ("للمرضى", "Patient"), ("مَرِيض", "Patient"),
        ("مـريـض", "Patient"), ("الأطباء", "Doctor"), ("اطباء", "Doctor"),
        ("مواعيدهم", "Appointment"),
        ("موعدان", "Appointment"), ("الشاحنات", "Truck"), ("بالشاحنة", "Truck"),
        ("المتبرعين", "Donor"), ("متبرعون", "Donor"), ("كتبها", "Book"), ("المناحل", "Apiary"),
        ("فواتيره", "Invoice"), ("البطولات", "Tournament"), ("وصفات طبية", "Prescription"),
        ("أوامر العمل", "WorkOrder"), ("patients", "Patient"), ("Companies", "Company"),
        ("libraries' books", None), ("parking spaces", "ParkingSpace"), ("children", "Child"),
        ("work-order", "WorkOrder"), ("xyzzy", None), ("سشيبلا", None),
    ],
)  # fmt: skip
def test_nouns_are_found_in_their_inflected_forms(word: str, noun: str | None) -> None:
    names = lexicon().noun_names(word.replace("-", " ").split())
    assert (names[0] if names else None) == noun


@pytest.mark.parametrize(
    ("words", "field", "kind"),
    [
        ("price", "price", "money"), ("السعر", "price", "money"), ("cost", "cost", "money"),
        ("هاتف", "phone", "phone"), ("phone number", "phone", "phone"),
        ("صورة", "photo_url", "url"),
        ("photos", "photo_url", "url"), ("درجة الحرارة", "temperature", "decimal"),
        ("humidity reading", "humidity", "decimal"), ("تاريخ الميلاد", "birth_date", "date"),
        ("date of birth", "birth_date", "date"), ("البريد الإلكتروني", "email", "email"),
        ("العمر", "age", "integer"), ("موقع", "location", "string"),
    ],
)  # fmt: skip
def test_fields_have_a_name_and_a_type(words: str, field: str, kind: str) -> None:
    found = lexicon().field_name(words.split())
    assert found == field
    assert lexicon().fields[field].type == kind


def test_spelling_variants_are_one() -> None:
    assert arabic.fold("أُسْرَة") == arabic.fold("اسره")
    assert arabic.fold("إلى") == arabic.fold("الي")
    assert arabic.fold("مســتشفى") == arabic.fold("مستشفي")


@pytest.mark.parametrize(
    ("plural", "singular"),
    [("تلسكوبات", "تلسكوبة"), ("البحارون", "بحار"), ("مصاعد", "مصعد"), ("صناديق", "صناديق"),
     ("أبراج", "برج"), ("رحلات", "رحلة"), ("المراسيم", "مرسوم")],
)  # fmt: skip
def test_unknown_plurals_are_undone_where_it_is_safe(plural: str, singular: str) -> None:
    assert arabic.singular(plural) == singular


@pytest.mark.parametrize("word", ["منحل", "تلسكوب", "فتحة", "يخت", "ؤئءآ", "هيدروجين", "غطّاس"])
def test_transliteration_is_an_identifier(word: str) -> None:
    latin = arabic.transliterate(word)
    assert re.fullmatch(r"[a-z]+", latin)
    assert latin == arabic.transliterate(word)


def test_transliteration_keeps_words_apart() -> None:
    assert arabic.transliterate("منحل") == "manhal"
    assert arabic.transliterate("مشتل") != arabic.transliterate("منحل")


@pytest.mark.parametrize(
    ("word", "joined"),
    [("وعدد", True), ("والطبيب", True), ("وفتحة", True), ("وصفة", False), ("وقت", False),
     ("وزن", False), ("الوصف", False), ("ورشة", False)],
)  # fmt: skip
def test_the_conjunction_is_told_from_a_first_letter(word: str, joined: bool) -> None:
    assert arabic.begins_with_and(word) is joined


@pytest.mark.parametrize(
    ("plural", "singular"),
    [("cities", "city"), ("boxes", "box"), ("buses", "bus"), ("houses", "house"),
     ("people", "person"), ("glass", "glass"), ("status", "status"), ("telescopes", "telescope"),
     ("analyses", "analysis"), ("series", "series")],
)  # fmt: skip
def test_english_singulars(plural: str, singular: str) -> None:
    assert english.singular(plural) == singular


def test_the_longest_phrase_wins() -> None:
    index: PhraseIndex[str] = PhraseIndex()
    index.add("work", "a")
    index.add("work order", "b")
    index.add("أمر عمل", "c")
    words = ["each", "work", "order", "and", "work", "and", "أوامر"]
    assert list(index.find(words)) == [(1, 3, ["b"]), (4, 5, ["a"])]
    assert index.get(["work", "orders"]) == ["b"]
    assert index.get(["orders"]) == []
