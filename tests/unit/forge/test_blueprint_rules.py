"""Every problem names the rule that was broken, and every rule has a mend."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.forge import blueprint
from engine.forge.blueprint.catalogue import RULES
from engine.forge.blueprint.source import load, load_data
from engine.kernel.errors import InvalidInput

_SOURCES = sorted(Path(blueprint.__path__[0]).glob("*.py"))
_MAKERS = ("Finding", "_absent", "_refuse", "_find")


def _rules(file: Path) -> Iterator[tuple[int, ast.expr | None]]:
    """Each call that makes a finding: its line, and the rule that it names."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call):
            called = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if called in _MAKERS:
                given = [word.value for word in node.keywords if word.arg == "rule"]
                yield node.lineno, given[0] if given else None


def test_every_finding_names_its_rule() -> None:
    calls = [(file.name, line, rule) for file in _SOURCES for line, rule in _rules(file)]
    named = {rule.value for _, _, rule in calls if isinstance(rule, ast.Constant)}

    assert [call for call in calls if call[2] is None] == []
    assert len(calls) > 80
    assert named <= set(RULES)


def test_every_rule_is_broken_by_something_and_has_a_mend() -> None:
    source = "\n".join(file.read_text() for file in _SOURCES if file.name != "catalogue.py")

    assert [rule for rule in RULES if f'"{rule}"' not in source] == []
    assert all(mend[0].isupper() and mend.endswith(".") for mend in RULES.values())
    assert len(set(RULES)) == len(RULES)


@pytest.mark.parametrize("read", [load, load_data])
def test_a_problem_tells_rule_and_mend_in_both_forms(read: object) -> None:
    data = {"name": "shop", "entities": {"Thing": {"fields": {"value": {"type": "strng"}}}}}
    with pytest.raises(InvalidInput) as caught:
        load_data(data) if read is load_data else load(str(data))
    [problem] = caught.value.fields["errors"]

    assert problem["rule"] == "field-type-unknown"
    assert problem["mend"] == RULES["field-type-unknown"]


def test_warnings_have_rules_too() -> None:
    text = "name: shop\nroles: {clerk: {}}\nentities: {Thing: {fields: {a: {type: money}}}}\n"

    assert [each.rule for each in load(text).warnings] == ["role-unused", "currency-missing"]
