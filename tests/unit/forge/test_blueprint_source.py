"""Reading a Blueprint: where a problem is, what it says, what was meant."""

from __future__ import annotations

import json
import pickle

import pytest

from engine.forge.blueprint.canonical import plain
from engine.forge.blueprint.model import Sector
from engine.forge.blueprint.source import load, load_data
from engine.kernel.errors import InvalidInput
from tests.unit.forge.blueprints import SMALL, changed, entity_with, field_with, problems, small

PATIENT = "entities.Patient"
NAME = f"{PATIENT}.fields.full_name"
CLOSE = "entities.Visit.lifecycle.transitions.close"


@pytest.mark.parametrize(
    ("old", "new", "place", "path", "suggestion"),
    [
        ("name: clinic", "nmae: clinic", (1, 1), "nmae", "name"),
        ("name: clinic", "name: My Clinic", (1, 7), "name", "my-clinic"),
        ("type: string", "type: strng", (10, 25), NAME + ".type", "string"),
        ("type: string", "type: datetime", (10, 25), NAME + ".type", "instant"),
        ("type: string", "type: INT", (10, 25), NAME + ".type", "integer"),
        ("required: true", "requird: true", (10, 33), NAME + ".requird", "required"),
        ("required: true", "required: yes", (10, 43), NAME + ".required", "true"),
        ("required: true", "label: Name", (10, 33), NAME + ".label", "title"),
        ("required: true", "maxLength: 3", (10, 33), NAME + ".maxLength", "max_length"),
        ("min: 0", 'min: "7"', (11, 33), PATIENT + ".fields.age.min", "7"),
        ("enum: gender}", "enum: gendr}", (12, 34), PATIENT + ".fields.gender.enum", "gender"),
        ("display: full_name", "display: fullname", (8, 14), PATIENT + ".display", "full_name"),
        ("      doctor: {c", "      docter: {c", (14, 7), PATIENT + ".access.docter", "doctor"),
        ("update: own", "update: mine", (14, 48), PATIENT + ".access.doctor.update", None),
        ("create: all", "create: own", (14, 24), PATIENT + ".access.doctor.create", None),
        ("to: Patient", "to: Patients", (17, 21), "entities.Visit.relations.patient.to", "Patient"),
        ("to: Patient", "to: patient", (17, 21), "entities.Visit.relations.patient.to", "Patient"),
        ("initial: open", "initial: opened", (21, 16), "entities.Visit.lifecycle.initial", "open"),
        ("to: closed", "to: close", (24, 35), CLOSE + ".to", "closed"),
        ("from: [open]", "from: [opn]", (24, 24), CLOSE + ".from[0]", "open"),
        ("from: [open]", "from: open", (24, 23), CLOSE + ".from", "[open]"),
        ("roles: [doctor]", "roles: [docter]", (24, 51), CLOSE + ".roles[0]", "doctor"),
        ("  Visit:", "  visit:", (15, 3), "entities.visit", "Visit"),
        ("      age:", "      Age Group:", (11, 7), PATIENT + '.fields["Age Group"]', "age_group"),
    ],
)
def test_one_mistake_is_placed_and_understood(
    old: str, new: str, place: tuple[int, int], path: str, suggestion: str | None
) -> None:
    found = [p for p in changed(old, new) if p["path"] == path]
    assert [(p["line"], p["column"]) for p in found] == [place]
    assert found[0]["suggestion"] == suggestion
    others = [p for p in changed(old, new) if p["path"] != path]
    assert all("is missing" in p["message"] for p in others)


def test_all_problems_come_at_once_in_the_order_of_the_text() -> None:
    text = (
        SMALL.replace("name: clinic", "name: Clinic!")
        .replace("type: string", "type: strng")
        .replace("enum: gender}", "enum: gendr}")
        .replace("to: Patient", "to: Pateint")
        .replace("initial: open", "initial: opne")
        .replace("roles: [doctor]", "role: [doctor]")
    )
    found = problems(text)
    assert [p["line"] for p in found] == [1, 10, 12, 17, 21, 24]
    assert [p["suggestion"] for p in found[1:]] == ["string", "gender", "Patient", "open", "roles"]


def test_a_broken_part_does_not_make_others_look_broken() -> None:
    found = changed("full_name: {type: string, required: true}", "full_name: {required: maybe}")
    assert {p["path"] for p in found} == {
        "entities.Patient.fields.full_name.type",
        "entities.Patient.fields.full_name.required",
    }
    assert [p["path"] for p in changed("  Patient:", "  patient:")] == ["entities.patient"]
    assert [p["path"] for p in changed("    fields:", "    filds:")] == ["entities.Patient.filds"]
    assert [p["path"] for p in changed("doctor: {}", "doctor: {x: 1}")] == ["roles.doctor.x"]


def test_a_missing_key_is_reported_at_its_owner() -> None:
    [problem] = problems(field_with("{required: true}"))
    assert problem["path"] == "entities.Thing.fields.value.type"
    assert (problem["line"], problem["column"]) == (4, 20)
    assert "missing" in problem["message"]


def test_a_key_declared_twice_names_both_places() -> None:
    [problem] = changed("  doctor: {}", "  doctor: {}\n  doctor: {title: [1, {a: b}]}")
    assert (problem["line"], problem["column"], problem["path"]) == (4, 3, "roles.doctor")
    assert "on line 3 (column 3)" in problem["message"]
    assert "on line 4 (column 3)" in problem["message"]
    [problem] = problems('{"name": "shop", "entities": {"A1": {}, "A1": {"x": 2}}}')
    assert problem["path"] == "entities.A1"


def test_words_of_yaml_1_1_stay_texts() -> None:
    text = SMALL.replace("male: {}", "no: {en: no, ar: on}, yes: {en: off}, null: {en: y}", 1)
    values = load(text).blueprint.enums["gender"].values
    assert list(values) == ["no", "yes", "null", "female"]
    assert (values["no"].en, values["no"].ar, values["yes"].en) == ("no", "on", "off")
    date = load(field_with("{type: date, default: 2026-01-31}")).blueprint
    assert date.entities["Thing"].fields["value"].default == "2026-01-31"
    base60 = load(field_with("{type: time, default: 09:30}")).blueprint
    assert base60.entities["Thing"].fields["value"].default == "09:30"


def test_a_number_where_a_text_belongs_is_offered_in_quotes_as_written() -> None:
    [problem] = problems(field_with("{type: phone, default: 0551234567}"))
    assert problem["suggestion"] == '"0551234567"'
    [problem] = changed("name: clinic", "webnova: 1\nname: clinic")
    assert (problem["path"], problem["suggestion"]) == ("webnova", '"1"')


def test_values_are_never_bent_into_another_type() -> None:
    for body in ("{type: string, required: 1}", '{type: string, min_length: "5"}'):
        assert len(problems(field_with(body))) == 1
    for body in ("{type: integer, min: true}", "{type: string, max_length: 1.5}"):
        assert len(problems(field_with(body))) == 1


def test_a_text_for_a_bilingual_one_is_shown_how() -> None:
    [problem] = changed("name: clinic", "title: عيادة النور\nname: clinic")
    assert json.loads(problem["suggestion"]) == {"ar": "عيادة النور"}
    assert "`en` and `ar`" in problem["message"]


def test_arabic_keys_are_sent_to_the_title() -> None:
    for text in (
        entity_with("{fields: {الاسم: {type: string}}}"),
        "name: xx\nentities: {مريض: {}}",
    ):
        [problem] = problems(text)
        assert "`title`" in problem["message"] and problem["suggestion"] is None
    assert (
        'fields["الاسم"]' in problems(entity_with("{fields: {الاسم: {type: string}}}"))[0]["path"]
    )


def test_an_empty_value_is_named() -> None:
    [problem] = changed("doctor: {}", "doctor:")
    assert (problem["line"], problem["column"]) == (3, 3)
    assert "no value" in problem["message"]


def test_the_message_for_a_person_names_file_and_first_place() -> None:
    with pytest.raises(InvalidInput) as caught:
        load(SMALL.replace("to: Patient", "to: Patint"), filename="/home/me/secret/clinic.yaml")
    error = caught.value
    assert error.detail.startswith("clinic.yaml is not a valid Blueprint (1 problem): line 17, ")
    assert "Did you mean Patient?" in error.detail and "/home" not in str(error)
    again = pickle.loads(pickle.dumps(error))
    assert again.problem() == error.problem()
    assert json.loads(json.dumps(error.problem()))["errors"] == error.fields["errors"]


def test_only_the_first_fifty_are_listed_and_all_are_counted() -> None:
    body = "".join(f"  A{i}: {{x: 1}}\n" for i in range(80))
    with pytest.raises(InvalidInput) as caught:
        load("name: xx\nentities:\n" + body)
    assert [p["line"] for p in caught.value.fields["errors"]] == list(range(3, 53))
    assert caught.value.fields["error_count"] == 80


def test_many_unknown_references_are_counted_too() -> None:
    fields = ", ".join(f"f{i}: {{type: enum, enum: siez}}" for i in range(70))
    with pytest.raises(InvalidInput) as caught:
        load(entity_with(f"{{fields: {{{fields}}}}}"))
    assert caught.value.fields["error_count"] == 70
    assert {p["suggestion"] for p in caught.value.fields["errors"]} == {"size"}


def test_warnings_have_places_and_do_not_refuse() -> None:
    loaded = load(SMALL.replace("closed: {}}", "closed: {}, lost: {}}"))
    [warning] = loaded.warnings
    assert (warning.line, warning.path) == (22, "entities.Visit.lifecycle.states.lost")
    assert load(SMALL).warnings == ()


def test_json_text_is_read_like_yaml() -> None:
    data = plain(small())
    data["title"] = {"en": "smile \U0001f600 \\ud83d\\ude00 / ok"}
    for text in (json.dumps(data), json.dumps(data, indent="\t"), json.dumps(data, indent=2)):
        assert load(text.replace("/", "\\/")).blueprint == load_data(data)
    assert load("\ufeff" + json.dumps(data)).blueprint == load_data(data)
    assert load(json.dumps(data, ensure_ascii=False).encode("utf-8-sig")).blueprint == load_data(
        data
    )


def test_windows_line_ends_keep_places() -> None:
    text = SMALL.replace("to: Patient", "to: Patint").replace("\n", "\r\n")
    assert [(p["line"], p["column"]) for p in problems(text)] == [(17, 21)]


def test_data_has_pointers_and_no_lines() -> None:
    data = plain(small())
    data["entities"]["Patient"]["fields"]["age"]["type"] = "intger"
    data["entities"]["Patient"]["fields"]["a/b~c"] = {"type": "string"}
    with pytest.raises(InvalidInput) as caught:
        load_data(data)
    found = caught.value.fields["errors"]
    assert [p["path"] for p in found] == [
        "/entities/Patient/fields/age/type",
        "/entities/Patient/fields/a~1b~0c",
    ]
    assert found[0]["suggestion"] == "integer"
    assert all(p["line"] is None and p["column"] is None for p in found)
    assert load_data({**plain(small()), "sector": "education"}).sector is Sector.EDUCATION
