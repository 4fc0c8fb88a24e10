"""How names, keys, joins and circles of a source become those of the language."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.forge.blueprint.checks import errors
from engine.forge.blueprint.model import FieldType, OnDelete, RelationKind
from engine.forge.formats.building.build import build
from engine.forge.formats.building.names import member, singular, slug, title, type_name
from engine.forge.formats.conversion import format_of, import_blueprint
from engine.forge.formats.draft import (
    MOST,
    Draft,
    DraftEntity,
    DraftField,
    DraftIndex,
    DraftRelation,
    DraftUnique,
)
from engine.forge.formats.importers.sql.importer import SqlImporter
from engine.forge.formats.report import Report
from engine.forge.resolve import resolve
from engine.kernel.errors import InvalidInput


def reason(report: Report, source: str, outcome: str) -> str:
    found = [each for each in report.entries if each.source == source]
    assert outcome in [each.outcome for each in found], found
    return next(each.reason or "" for each in found if each.outcome == outcome)


@pytest.mark.parametrize(
    ("source", "name"),
    [("order_items", "OrderItem"), ("people", "Person"), ("statuses", "Status"),
     ("houses", "House"), ("addresses", "Address"), ("categories", "Category"),
     ("ORDERS", "Order"), ("2fa", "Record2fa"), ("المرضى", "Almrda"), ("Straße", "Strasse")],
)  # fmt: skip
def test_tables_are_named_in_the_singular(source: str, name: str) -> None:
    assert type_name(source, is_plural=True) == name


@pytest.mark.parametrize(
    ("source", "name"),
    [("firstName", "first_name"), ("Full Name", "full_name"), ("_id", "id"), ("__", "value"),
     ("1st", "value_1st"), ("naïve", "naive"), ("x" * 90, "x" * 40)],
)  # fmt: skip
def test_members_are_named_in_snake_case(source: str, name: str) -> None:
    assert member(source) == name


def test_titles_keep_both_languages() -> None:
    assert title("Name | الاسم").model_dump() == {"en": "Name", "ar": "الاسم"}
    assert title("اسم").ar == "اسم" and title("a\u202eb\n c").en == "a b c"
    assert slug("CON") == "con-platform" and slug("١٢") == "imported"
    assert singular("news") == "news"


def test_reserved_and_equal_names_are_changed_and_told() -> None:
    found = import_blueprint(
        'CREATE TABLE users ("select" int, class int, a_b int, ab int, id_ids int, Ab int);'
        'CREATE TABLE "User" (x int); CREATE TABLE user_record (x int);',
        "sql",
    )
    assert not errors(found.blueprint)
    assert list(found.blueprint.entities["UserRecord"].fields) == [
        "select_value", "class_value", "a_b", "ab_value", "id_ids",
    ]  # fmt: skip
    assert len(found.blueprint.entities) == 3
    assert "reserved word of Python" in reason(found.report, "users.class", "changed")


def test_a_circle_of_required_references_is_opened_and_told() -> None:
    found = import_blueprint(
        "CREATE TABLE a (id int primary key, b_id int not null references b);"
        "CREATE TABLE b (id int primary key, a_id int not null references a);",
        "sql",
    )
    required = [
        relation.required
        for entity in found.blueprint.entities.values()
        for relation in entity.relations.values()
    ]
    assert sorted(required) == [False, True]
    assert "require each other" in reason(found.report, "b.a_id", "changed")


def test_only_pure_join_tables_become_relations() -> None:
    tables = "CREATE TABLE a (id int primary key); CREATE TABLE b (id int primary key);"
    columns = "a_id int references a, b_id int references b{}, primary key (a_id, b_id)"
    join = f"CREATE TABLE a_bs ({columns});"
    pure = import_blueprint(tables + join.format(""), "sql").blueprint
    assert pure.entities["A"].relations["bs"].kind is RelationKind.MANY_TO_MANY
    assert set(pure.entities) == {"A", "B"}
    more = import_blueprint(tables + join.format(", since date"), "sql").blueprint
    assert set(more.entities) == {"A", "B", "AB"}
    assert all(each.required for each in more.entities["AB"].relations.values())


def test_a_unique_reference_is_one_to_one_and_a_key_that_means_something_stays() -> None:
    blueprint = import_blueprint(
        "CREATE TABLE a (code char(3) primary key);"
        "CREATE TABLE b (id serial primary key, a_code char(3) unique references a(code));"
        "CREATE TABLE c (b_id int primary key references b);",
        "sql",
    ).blueprint
    assert blueprint.entities["A"].fields["code"].unique
    assert blueprint.entities["B"].relations["a"].kind is RelationKind.ONE_TO_ONE
    shared = blueprint.entities["C"].relations["b"]
    assert shared.kind is RelationKind.ONE_TO_ONE and shared.required


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("numeric(30, 10)", {"precision": 18, "scale": 10}),
        ("varchar(20000)", {"max_length": 10_000}),
        ("int check (x > 2 and x <= 9)", {"min": 3, "max": 9}),
        ("int check (5 >= x)", {"max": 5}),
        ("text check (char_length(x) between 2 and 4)", {"min_length": 2, "max_length": 4}),
        (
            "varchar(9) default 'a' check (x in ('a', 'b'))",
            {"type": FieldType.ENUM, "default": "a"},
        ),
        ("boolean default true", {"default": True}),
        ("int default 99999999999999999999", {"default": None}),
        ("smallint default '7'::smallint", {"default": 7}),
        ("varchar(3) default 'long'", {"default": None}),
        ("char(3) check (x ~ '^[a-z]+$')", {"pattern": "[a-z]+"}),
        ("text check (x ~ '^(a+)+$')", {"pattern": None}),
    ],
)
def test_what_a_column_says_is_kept_or_told(column: str, expected: dict[str, object]) -> None:
    found = import_blueprint(f"CREATE TABLE a (x {column});", "sql")
    spec = found.blueprint.entities["A"].fields["x"]
    assert {name: getattr(spec, name) for name in expected} == expected
    if None in expected.values() or "precision" in expected:
        assert reason(found.report, "a.x", "changed")


def test_sets_of_columns_name_what_the_columns_have_become() -> None:
    found = import_blueprint(
        "CREATE TABLE b (x int, y int, PRIMARY KEY (x, y));"
        "CREATE TABLE a (id int PRIMARY KEY, bx int, by_ int, n int, m varchar(20), t text,"
        " k varchar(590), FOREIGN KEY (bx, by_) REFERENCES b (x, y),"
        " UNIQUE (n, m), UNIQUE (t, n), UNIQUE (m, n, k), UNIQUE (m, k), UNIQUE (bx, by_, m),"
        " UNIQUE (by_, n));"
        "CREATE INDEX i ON a (m, n); CREATE INDEX j ON a (id); CREATE UNIQUE INDEX k ON a (k);"
        "CREATE INDEX l ON a (k);",
        "sql",
    )
    entities = found.blueprint.entities
    assert entities["B"].unique == [["x", "y"]]
    assert entities["A"].unique == [["n", "m"], ["b", "m"]]
    assert entities["A"].indexes == [["m", "n"]]
    assert "built-in `id`" in reason(found.report, "b (x, y)", "changed")
    for source, said in (
        ("a (t, n)", "too long for an index"), ("a (m, n, k)", "610 characters"),
        ("a (m, k)", "610 characters"), ("a (by_, n)", "no field or relation of its own"),
        ("a (id)", "kept by the platform"), ("a (k)", "indexed already"),
    ):  # fmt: skip
        assert said in reason(found.report, source, "dropped")


def test_more_sets_than_an_entity_has_are_told() -> None:
    columns = [f"c{number}" for number in range(12)]
    indexes = "".join(f"CREATE INDEX i{each} ON a ({each});" for each in columns)
    wide = f"CREATE INDEX wide ON a ({', '.join(columns[:6])});"
    text = f"CREATE TABLE a ({', '.join(f'{each} int' for each in columns)});{wide}{indexes}"
    found = import_blueprint(text, "sql")
    assert len(found.blueprint.entities["A"].indexes) == 10
    assert "at most 10" in reason(found.report, "a (c11)", "dropped")
    assert "6 columns" in reason(found.report, f"a ({', '.join(columns[:6])})", "dropped")


def test_what_a_database_says_of_its_indexes_is_told() -> None:
    def index(name: str, **more: object) -> dict[str, object]:
        return {"name": name, "columns": ["name"], **more}

    columns = [{"name": "id", "type": "int"}, {"name": "name", "type": "varchar(20)"}]
    columns.append({"name": "size", "type": "int", "computed": True, "default": "1"})
    indexes = [index("words", method="fulltext"), index("short", prefixed=True)]
    table = {"name": "things", "columns": columns, "primary_key": ["id"], "indexes": indexes}
    found = import_blueprint(json.dumps({"dialect": "mysql", "tables": [table]}), "database")
    assert found.blueprint.entities["Thing"].indexes == [["name"]]
    assert "not its beginning" in reason(found.report, "things (name)", "changed")
    assert "computed from others" in reason(found.report, "things.size", "changed")
    assert [each.reason for each in found.report.entries if each.kind == "fulltext"] == [
        "an index of this kind is chosen by the target"
    ]


def test_what_is_too_much_is_refused() -> None:
    many = "".join(f"CREATE TABLE t{each} (a int);" for each in range(5_000))
    with pytest.raises(InvalidInput, match="5000 tables"):
        import_blueprint(many, "sql")
    wide = ", ".join(f"c{each} int" for each in range(MOST + 1))
    with pytest.raises(InvalidInput, match="fields"):
        import_blueprint(f"CREATE TABLE t ({wide});", "sql")
    with pytest.raises(InvalidInput, match="nothing that records"):
        import_blueprint("SELECT 1", "sql")


def test_errors_name_their_place() -> None:
    for form, text, line, column in (
        ("sql", "CREATE TABLE a (\n  b int check (\n);", 3, 1),
        ("jdl", "entity A {\n  b ! String\n}", 2, 5),
        ("prisma", "model A {\n  b Int @\n}", 3, 1),
        ("dbml", "Table a {\n  b int [pk\n}", 3, 1),
        ("openapi", 'openapi: "3.0.0"\na: [', 2, None),
        ("jsonschema", '{"a": \n}{', 2, None),
    ):
        with pytest.raises(InvalidInput) as caught:
            import_blueprint(text, form)
        assert caught.value.fields["line"] == line, (form, caught.value)
        assert column is None or caught.value.fields["column"] == column, (form, caught.value)


def test_dialects_are_found_out_or_named() -> None:
    text = "CREATE TABLE `a` (id int AUTO_INCREMENT primary key, b tinyint(1));"
    spec = import_blueprint(text, "sql").blueprint.entities["A"].fields["b"]
    assert spec.type is FieldType.BOOLEAN
    with pytest.raises(InvalidInput, match="no SQL dialect"):
        SqlImporter().read("", "cobol")
    with pytest.raises(InvalidInput, match="no format"):
        import_blueprint("", "cobol")
    assert format_of("a/b.SQL") == "sql" and format_of("b.yaml") == "openapi"
    assert format_of("none") is None


_NAMES = st.one_of(
    st.sampled_from(
        ["id", "user", "User", "users", "order", "select", "class", "owner_id", "limit", "self",
         "created_at", "a_b", "ab", "A B", "x_ids", "x_id", "metadata", "model_x", "عنوان", "",
         "con", "str", "Token", "list", "a" * 60, "update", "AUpdate", "A"]
    ),
    st.text(max_size=12),
)  # fmt: skip


@st.composite
def _drafts(draw: st.DrawFn) -> Draft:
    names = draw(st.lists(_NAMES, min_size=1, max_size=5, unique=True))
    draft = Draft("sql", name=draw(_NAMES))
    for name in names:
        entity = DraftEntity(name, plural=draw(st.booleans()))
        for column in draw(st.lists(_NAMES, max_size=6, unique=True)):
            entity.add(
                DraftField(
                    column,
                    draw(st.sampled_from([each for each in FieldType if each != FieldType.ENUM])),
                    required=draw(st.booleans()),
                    unique=draw(st.booleans()),
                    key=draw(st.booleans()),
                    default=draw(st.one_of(st.none(), st.text(max_size=5), st.integers())),
                    label=draw(st.text(max_size=9)),
                )
            )
        for target in draw(st.lists(st.sampled_from([*names, "missing"]), max_size=4)):
            relation = DraftRelation(target, name=draw(_NAMES), required=draw(st.booleans()))
            relation.kind = draw(st.sampled_from(list(RelationKind)))
            relation.columns = tuple(
                draw(st.lists(st.sampled_from([each.name for each in entity.fields]), max_size=2))
                if entity.fields
                else ()
            )
            entity.relations.append(relation)
        known = st.sampled_from([*(each.name for each in entity.fields), "nothing"])
        columns = st.lists(known, max_size=7).map(tuple)
        entity.uniques = [
            DraftUnique(each, primary=draw(st.booleans()))
            for each in draw(st.lists(columns, max_size=3))
        ]
        entity.indexes = [DraftIndex(each) for each in draw(st.lists(columns, max_size=12))]
        draft.add(entity)
    return draft


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(_drafts())
def test_any_draft_becomes_a_blueprint_that_makes_sense(draft: Draft) -> None:
    count = sum(len(entity.fields) for entity in draft.entities)
    indexes = sum(len(entity.indexes) for entity in draft.entities)
    found = build(draft)
    assert not errors(found.blueprint)
    assert resolve(found.blueprint)
    told = [each for each in found.report.entries if each.kind == "column"]
    assert len(told) >= count
    assert len([each for each in found.report.entries if each.kind == "index"]) == indexes


MYSQL = """
CREATE TABLE `products` (
  `id` int(10) unsigned NOT NULL AUTO_INCREMENT,
  `name` varchar(255) CHARACTER SET utf8mb4 NOT NULL COMMENT 'اسم المنتج',
  `size` enum('small','X-Large') DEFAULT 'small',
  `flags` set('a','b'),
  `price` decimal(10,4) unsigned NOT NULL,
  `cat_id` int,
  PRIMARY KEY (`id`),
  UNIQUE KEY `nm` (`name`),
  KEY `idx` (`price`),
  CONSTRAINT `fk1` FOREIGN KEY (`cat_id`) REFERENCES `cats` (`id`) ON DELETE SET NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COMMENT='things';
CREATE TABLE cats (id int primary key auto_increment, title text);
"""


def test_a_dump_of_mysql_is_read() -> None:
    found = import_blueprint(MYSQL, "sql")
    product = found.blueprint.entities["Product"]
    assert product.description.en == "things"
    assert product.fields["name"].unique and product.fields["name"].title.ar == "اسم المنتج"
    assert product.fields["size"].default == "small" and product.fields["price"].min == 0
    assert product.relations["cat"].on_delete is OnDelete.SET_NULL
    assert product.fields["flags"].type is FieldType.JSON
    assert "list of values" in reason(found.report, "products.flags", "changed")
    assert "CHARACTER SET" in reason(found.report, "products.name", "changed")
    dropped = {each.kind for each in found.report.entries if each.outcome == "dropped"}
    assert "option" in dropped
    assert product.indexes == [["price"]]


def test_a_dump_of_sqlite_is_read() -> None:
    found = import_blueprint(
        "PRAGMA foreign_keys=ON;\nCREATE TABLE note (id INTEGER PRIMARY KEY AUTOINCREMENT, n,"
        " size REAL DEFAULT -1.5) WITHOUT ROWID;",
        "sql",
    )
    fields = found.blueprint.entities["Note"].fields
    assert fields["n"].type is FieldType.TEXT and fields["size"].default == -1.5
    assert "stored" in reason(found.report, "WITHOUT ROWID", "dropped")
