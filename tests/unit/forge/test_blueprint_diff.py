"""What changed between two Blueprints."""

from __future__ import annotations

import pytest

from engine.forge.blueprint.diff import Change, diff
from engine.forge.blueprint.source import load
from tests.unit.forge.blueprints import SMALL, small

F = "entities.Patient.fields"
A = "entities.Patient.access.doctor"
LIFE = "entities.Visit.lifecycle"


@pytest.mark.parametrize(
    ("old", "new", "path", "breaking", "summary"),
    [
        (
            "min: 0",
            "required: true, min: 0",
            f"{F}.age.required",
            True,
            "Patient.age became required",
        ),
        (
            "required: true",
            "required: false",
            f"{F}.full_name.required",
            False,
            "Patient.full_name became optional",
        ),
        ("min: 0", "unique: true, min: 0", f"{F}.age.unique", True, "Patient.age became unique"),
        ("min: 0", "min: 1", f"{F}.age.min", True, "Patient.age: min changed from 0 to 1"),
        ("min: 0", "min: -1", f"{F}.age.min", False, "Patient.age: min changed from 0 to -1"),
        ("max: 150", "max: 120", f"{F}.age.max", True, "Patient.age: max changed from 150 to 120"),
        (", max: 150", "", f"{F}.age.max", False, "Patient.age: max 150 was removed"),
        (
            "{type: string, required",
            "{type: text, required",
            f"{F}.full_name.type",
            False,
            "Patient.full_name: type changed from string to text",
        ),
        (
            "{type: string, required",
            "{type: uuid, required",
            f"{F}.full_name.type",
            True,
            "Patient.full_name: type changed from string to uuid",
        ),
        (
            "{type: string, required",
            "{type: string, title: {ar: الاسم}, required",
            f"{F}.full_name.title",
            False,
            "Patient.full_name: title changed",
        ),
        ("update: own", "update: all", f"{A}.update", False, "doctor may now update every Patient"),
        (", update: own", "", f"{A}.update", True, "doctor may no longer update Patient"),
        (
            "read: all, update",
            "read: own, update",
            f"{A}.read",
            True,
            "doctor may only read own Patient records",
        ),
        (
            "update: own",
            "update: own, delete: own",
            f"{A}.delete",
            False,
            "doctor may now delete own Patient records",
        ),
        (
            "from: [open]",
            "from: [open, closed]",
            f"{LIFE}.transitions.close.from",
            False,
            "Visit transition close: from changed from open to open, closed",
        ),
        (
            "roles: [doctor]",
            "roles: []",
            f"{LIFE}.transitions.close.roles",
            True,
            "Visit transition close: roles changed from doctor to nothing",
        ),
        (
            "to: closed",
            "to: open",
            f"{LIFE}.transitions.close.to",
            True,
            "Visit transition close: to changed from closed to open",
        ),
        (
            "initial: open",
            "initial: closed",
            f"{LIFE}.initial",
            False,
            "Visit lifecycle: initial changed from open to closed",
        ),
        (
            "  doctor: {}",
            "  doctor: {self_registration: true}",
            "roles.doctor.self_registration",
            False,
            "Role doctor: people may now sign up with it",
        ),
        (
            "name: clinic",
            "name: hospital",
            "name",
            True,
            "The platform: name changed from clinic to hospital",
        ),
        (
            "name: clinic",
            "name: clinic\nstack: {database: postgres}",
            "stack.database",
            True,
            "Stack: database changed from sqlite to postgres",
        ),
        (
            "male: {}",
            "male: {en: Male}",
            "enums.gender.values.male",
            False,
            "Enum gender: the text of value male changed",
        ),
        (
            "{to: Patient, required: true}",
            "{to: Patient, required: true, on_delete: cascade}",
            "entities.Visit.relations.patient.on_delete",
            False,
            "Visit.patient: on_delete changed from restrict to cascade",
        ),
    ],
)
def test_one_thing_changed(old: str, new: str, path: str, breaking: bool, summary: str) -> None:
    [change] = diff(small(), small(old, new))
    assert (change.path, change.kind, change.breaking) == (path, "changed", breaking)
    assert change.summary == summary


@pytest.mark.parametrize(
    ("old", "new", "path", "breaks", "name"),
    [
        ("      age:", "      note: {type: text}\n      age:", f"{F}.note", False, "Patient.note"),
        (
            "      age:",
            "      note: {type: text, required: true, default: x}\n      age:",
            f"{F}.note",
            False,
            "Patient.note",
        ),
        (
            "      age:",
            "      note: {type: text, required: true}\n      age:",
            f"{F}.note",
            True,
            "Patient.note",
        ),
        ("  doctor: {}", "  doctor: {}\n  nurse: {}", "roles.nurse", False, "Role nurse"),
        (
            "female: {}",
            "female: {}, other: {}",
            "enums.gender.values.other",
            False,
            "Enum gender: value other",
        ),
        ("closed: {}}", "closed: {}, lost: {}}", f"{LIFE}.states.lost", False, "Visit: state lost"),
        (
            "        close:",
            "        reopen: {from: [closed], to: open}\n        close:",
            f"{LIFE}.transitions.reopen",
            False,
            "Visit: transition reopen",
        ),
        ("  Visit:", "  Room: {}\n  Visit:", "entities.Room", False, "Entity Room"),
        (
            "      patient: {",
            "      nurse: {to: Patient}\n      patient: {",
            "entities.Visit.relations.nurse",
            False,
            "Visit.nurse",
        ),
        (
            "  Visit:",
            "    lifecycle: {initial: a1, states: {a1: {}}}\n  Visit:",
            "entities.Patient.lifecycle",
            False,
            "Patient: the lifecycle",
        ),
    ],
)
def test_a_part_comes_and_goes(old: str, new: str, path: str, breaks: bool, name: str) -> None:
    [came] = diff(small(), small(old, new))
    assert (came.path, came.kind, came.breaking, came.old) == (path, "added", breaks, None)
    assert came.summary == f"{name} was added" + (" and is required" if breaks else "")
    [went] = diff(small(old, new), small())
    assert (went.path, went.kind, went.breaking, went.new) == (path, "removed", True, None)
    assert went.summary == f"{name} was removed"
    assert went.old == came.new


def test_access_that_comes_or_goes_is_told_by_verb() -> None:
    without = small("    access:\n      doctor: {read: all}\n", "")
    [came] = diff(without, small())
    assert came.path == "entities.Visit.access.doctor.read"
    assert (came.kind, came.old, came.new, came.breaking) == ("added", None, "all", False)
    assert came.summary == "doctor may now read Visit"
    [went] = diff(small(), without)
    assert (went.kind, went.breaking, went.summary) == (
        "removed",
        True,
        "doctor may no longer read Visit",
    )


def test_the_order_of_names_and_lists_is_no_change() -> None:
    both = "from: [open, closed]"
    assert diff(small("from: [open]", both), small("from: [open]", "from: [closed, open]")) == []
    age = "      age: {type: integer, min: 0, max: 150}\n"
    sex = "      gender: {type: enum, enum: gender}\n"
    moved = load(SMALL.replace(age, "").replace(sex, sex + age)).blueprint
    assert list(moved.entities["Patient"].fields) == ["full_name", "gender", "age"]
    assert diff(small(), moved) == []


def test_names_that_are_words_of_the_language() -> None:
    old = small("      age:", "      title: {type: string}\n      age:")
    new = small("      age:", "      title: {type: string, max_length: 9}\n      age:")
    [change] = diff(old, new)
    assert (change.path, change.breaking) == (f"{F}.title.max_length", True)
    old = small("male: {}", "title: {en: a}, male: {}")
    [change] = diff(old, small("male: {}", "title: {en: b}, male: {}"))
    assert change.path == "enums.gender.values.title"


def test_many_changes_keep_the_order_of_declaration() -> None:
    new = load(
        SMALL.replace("name: clinic", "name: other")
        .replace("doctor: {}", "doctor: {}\n  nurse: {}")
        .replace("      age: {type: integer, min: 0, max: 150}\n", "")
        .replace("initial: open", "initial: closed")
    ).blueprint
    assert [c.path for c in diff(small(), new)] == [
        "name",
        "roles.nurse",
        f"{F}.age",
        f"{LIFE}.initial",
    ]
    assert all(Change.model_validate_json(c.model_dump_json()) == c for c in diff(small(), new))


def test_a_true_default_differs_from_one() -> None:
    flag = small("      age:", "      flag: {type: boolean, default: true}\n      age:")
    one = small("      age:", "      flag: {type: integer, default: 1}\n      age:")
    assert {c.path for c in diff(flag, one)} == {f"{F}.flag.type", f"{F}.flag.default"}


def test_sets_are_told_apart_whatever_their_order() -> None:
    old = small("    display: full_name", "    unique: [[full_name, age]]\n    indexes: [[age]]")
    same = small("    display: full_name", "    unique: [[age, full_name]]\n    indexes: [[age]]")
    new = small("    display: full_name", "    unique: [[full_name, gender]]\n    indexes: []")

    assert diff(old, same) == []
    unique, indexes = diff(old, new)
    assert unique.breaking and "with full_name+gender and without age+full_name" in unique.summary
    assert not indexes.breaking and indexes.summary == "Patient: indexes now without age"
    assert not diff(new, small("    display: full_name", ""))[0].breaking


def test_what_is_stored_where_another_was_is_a_rename() -> None:
    old = small()
    text = SMALL.replace("display: full_name", "display: name").replace(
        "full_name: {type: string, required: true}", "name: {type: string, stored_as: full_name}"
    )
    new = load(text).blueprint

    told = {change.path: change for change in diff(old, new)}

    assert set(told) == {
        "entities.Patient.fields.name",
        "entities.Patient.fields.name.required",
        "entities.Patient.display",
    }
    renamed = told["entities.Patient.fields.name"]
    assert (renamed.kind, renamed.old, renamed.new, renamed.breaking) == (
        "renamed", "full_name", "name", True,
    )  # fmt: skip
    assert renamed.summary == "Patient.full_name was renamed to name; its data stays"


def test_a_renamed_entity_is_compared_with_what_it_was() -> None:
    old = small()
    entities = dict(old.entities)
    visit = entities.pop("Visit")
    entities["Stay"] = visit.model_copy(update={"stored_as": "Visit"})
    new = old.model_copy(update={"entities": entities})

    (change,) = diff(old, new)

    assert (change.kind, change.path) == ("renamed", "entities.Stay")
    assert change.summary == "Entity Visit was renamed to Stay; its data stays"
