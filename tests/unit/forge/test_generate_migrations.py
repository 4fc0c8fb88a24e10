"""Migrations: a chain that only grows, tables that only widen, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from engine.forge.blueprint.model import Blueprint
from engine.forge.generate import generate
from engine.forge.resolve import resolve
from engine.forge.targets.fastapi.migrations import Migration, migrations
from engine.kernel.errors import InvalidInput

NAME = {"type": "string", "required": True}


def version(
    fields: dict[str, Any] | None = None, relations: dict[str, Any] | None = None, **more: Any
) -> Blueprint:
    box = {"fields": {"name": NAME, **(fields or {})}, "relations": relations or {}}
    return Blueprint.model_validate(
        {"name": "shop", "entities": {"Box": box, "Lid": {}}, **more}
    )  # fmt: skip


def chain(*versions: Blueprint) -> tuple[Migration, ...]:
    *history, last = [resolve(each) for each in versions]
    return migrations(history, last)


def steps(old: Blueprint, new: Blueprint) -> str:
    (_, change) = chain(old, new)
    return "\n".join(change.steps)


def test_the_first_version_creates_every_table_and_a_quiet_change_adds_nothing() -> None:
    (first,) = chain(version(), version(description="other words"))
    assert [table.name for table in first.created] == ["users", "boxes", "lids"]
    assert first.before is None and first.file_name == "0001_initial.py"


def test_equal_beginnings_give_equal_revisions_and_other_beginnings_others() -> None:
    note, code = {"note": {"type": "string"}}, {"code": {"type": "string"}}
    short = chain(version(), version(note))
    long = chain(version(), version(note), version({**note, **code}))
    other = chain(version(code), version({**note, **code}))
    assert long[:2] == short
    assert [each.before for each in long] == [None, long[0].revision, long[1].revision]
    assert not {each.revision for each in other} & {each.revision for each in long}


def test_new_tables_come_first() -> None:
    old = Blueprint.model_validate(
        {"name": "shop", "entities": {"Box": {"fields": {"name": NAME}}}}
    )
    (_, change) = chain(old, version(relations={"lid": {"to": "Lid"}}))
    assert [table.name for table in change.created] == ["lids"]
    assert 'create_foreign_key("fk_boxes_lid_id", "lids"' in "".join(change.steps)


@pytest.mark.parametrize(
    ("field", "written"),
    [
        ({"type": "string"}, "sa.String(255), nullable=True"),
        ({**NAME, "default": "it's 5%"}, 'nullable=False, server_default="it\'s 5%"'),
        ({"type": "boolean", "required": True, "default": False}, "server_default=sa.false()"),
        ({"type": "integer", "required": True, "default": -1}, 'server_default=sa.text("-1")'),
        (
            {"type": "time", "required": True, "default": "09:30"},
            'server_default="09:30:00.000000"',
        ),
        (
            {"type": "money", "currency": "SAR", "required": True, "default": 2},
            'ExactDecimal(14, 2).stored("2.00", op.get_bind().dialect)',
        ),
    ],
)
def test_a_new_field_is_added_with_what_existing_records_get(
    field: dict[str, Any], written: str
) -> None:
    assert written in steps(version(), version({"extra": field}))


def test_a_field_that_goes_stays_in_the_table_and_is_no_longer_asked_for() -> None:
    found = steps(version({"code": {**NAME, "unique": True}}), version())
    assert 'alter_column("code", nullable=True)' in found
    assert "drop_column" not in found and "drop_table" not in found


def test_a_field_that_comes_back_is_taken_up_again() -> None:
    gone = version({"code": {"type": "string"}}), version()
    assert len(chain(*gone, version({"code": {"type": "string"}}))) == 1


def test_existing_records_get_the_default_of_a_field_that_becomes_required() -> None:
    old = version({"size": {"type": "integer"}})
    found = steps(old, version({"size": {"type": "integer", "required": True, "default": 3}}))
    assert ".values(size=3)" in found and "nullable=False" in found


def test_texts_and_decimals_widen_and_never_narrow() -> None:
    short, long = (
        version({"a": {"type": "string", "max_length": 5}}),
        version({"a": {"type": "text"}}),
    )
    assert 'alter_column("a", type_=sa.Text())' in steps(short, long)
    assert len(chain(long, short)) == 1
    small = version({"a": {"type": "decimal", "precision": 5}})
    large = version({"a": {"type": "decimal", "precision": 9}})
    assert "ExactDecimal(9, 2)" in steps(small, large)
    assert len(chain(large, small)) == 1


def test_a_value_that_goes_may_not_be_in_use() -> None:
    def sized(*values: str) -> Blueprint:
        enums: dict[str, Any] = {"size": {"values": {value: {} for value in values}}}
        return version({"size": {"type": "enum", "enum": "size"}}, enums=enums)

    assert steps(sized("s", "m", "l"), sized("s")) == 'require_unused("boxes", "size", ["m", "l"])'
    assert len(chain(sized("s"), sized("s", "m"))) == 1


def test_keys_and_unique_fields_follow() -> None:
    old = version({"code": {"type": "string"}}, {"lid": {"to": "Lid"}})
    new = version(
        {"code": {"type": "string", "unique": True}}, {"lid": {"to": "Lid", "on_delete": "cascade"}}
    )
    there, back = steps(old, new), steps(new, old)
    assert 'create_index("uq_boxes_code", "boxes", ["code"], unique=True)' in there
    assert 'drop_constraint("fk_boxes_lid_id"' in there and 'ondelete="CASCADE"' in there
    assert 'drop_constraint("uq_boxes_code", type_="unique")' in back


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (version(), version({"code": NAME})),
        (version({"code": {"type": "string"}}), version({"code": NAME})),
        (version({"code": {"type": "string"}}), version({"code": {"type": "integer"}})),
        (
            version({"fee": {"type": "decimal", "scale": 2}}),
            version({"fee": {"type": "decimal", "scale": 3}}),
        ),
        (version(), version(relations={"lid": {"to": "Lid", "required": True}})),
        (version(relations={"x": {"to": "Lid"}}), version(relations={"x": {"to": "Box"}})),
    ],
)
def test_what_existing_records_would_not_survive_is_refused_with_a_mend(
    old: Blueprint, new: Blueprint
) -> None:
    with pytest.raises(InvalidInput) as caught:
        generate(new, history=[old])
    assert caught.value.mend and caught.value.fields["table"] == "boxes"


def test_the_history_becomes_files() -> None:
    files = generate(version({"note": {"type": "string"}}), history=[version()])
    names = sorted(path for path in files if path.startswith("app/migrations/versions/"))
    assert [name.rpartition("/")[2] for name in names] == ["0001_initial.py", "0002_changes.py"]
    first, second = (files[name].decode() for name in names)
    revision = first.partition('revision = "')[2].partition('"')[0]
    assert f'down_revision = "{revision}"' in second


def test_what_was_renamed_stays_where_it_is() -> None:
    code, lids = {"type": "string", "unique": True}, {"to": "Lid", "kind": "many_to_many"}
    old = version({"code": code}, {"lid": {"to": "Lid"}, "spares": lids})
    crate = {
        "fields": {"name": NAME, "number": {**code, "stored_as": "code"}},
        "relations": {
            "cover": {"to": "Lid", "stored_as": "lid"},
            "extras": {**lids, "stored_as": "spares"},
        },
        "stored_as": "Box",
    }
    new = Blueprint.model_validate({"name": "shop", "entities": {"Crate": crate, "Lid": {}}})

    assert chain(old, new) == chain(old)
    files = {path: content.decode() for path, content in generate(new, history=[old]).items()}
    model = files["app/models/crate.py"]
    assert '__tablename__ = "boxes"' in model
    assert 'number: Mapped[str | None] = mapped_column("code", sa.String(255))' in model
    assert 'cover_id: Mapped[UUID | None] = mapped_column(\n        "lid_id",' in model
