"""The plugin registry, with entry points that real installed metadata declares."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Protocol, runtime_checkable

import pytest

from engine.kernel.errors import NotFound, Unavailable
from engine.kernel.plugins import Registry


@runtime_checkable
class Contract(Protocol):
    def greet(self) -> str: ...


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """Lays a distribution with entry points on the path, as an installer would."""

    def lay(name: str, points: dict[str, str], code: str) -> None:
        info = tmp_path / f"{name}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        lines = "\n".join(f"{key} = {value}" for key, value in points.items())
        (info / "entry_points.txt").write_text(f"[webnova.greeters]\n{lines}\n")
        (tmp_path / f"{name}.py").write_text(code)

    monkeypatch.syspath_prepend(str(tmp_path))
    yield lay
    for module in ("plug_a", "plug_b"):
        sys.modules.pop(module, None)


GOOD = "class Hello:\n    def greet(self): return 'hello'\nodd = dict\n"


def test_an_adapter_is_found_by_its_entry_point(install) -> None:  # type: ignore[no-untyped-def]
    install("plug_a", {"hello": "plug_a:Hello"}, GOOD)
    registry = Registry("greeters", Contract)
    assert list(registry) == ["hello"]
    assert registry.get("hello").greet() == "hello"
    assert registry.get("hello") is registry.get("hello")


def test_an_unknown_adapter_names_those_there_are(install) -> None:  # type: ignore[no-untyped-def]
    install("plug_a", {"hello": "plug_a:Hello"}, GOOD)
    with pytest.raises(NotFound, match="known: hello"):
        Registry("greeters", Contract).get("bye")


def test_a_tenant_sees_only_what_it_may_use(install) -> None:  # type: ignore[no-untyped-def]
    install("plug_a", {"hello": "plug_a:Hello", "other": "plug_a:Hello"}, GOOD)
    registry = Registry("greeters", Contract, allowed={"other"})
    assert list(registry) == ["other"]
    with pytest.raises(NotFound):
        registry.get("hello")


def test_a_broken_adapter_is_named_and_does_not_hide_the_others(install) -> None:  # type: ignore[no-untyped-def]
    points = {"hello": "plug_a:Hello", "gone": "plug_a:Gone", "odd": "plug_a:odd"}
    install("plug_a", points, GOOD)
    registry = Registry("greeters", Contract)
    with pytest.raises(Unavailable, match="gone"):
        registry.get("gone")
    with pytest.raises(Unavailable, match="contract"):
        registry.get("odd")
    assert registry.get("hello").greet() == "hello"


def test_two_plugins_of_one_name_are_refused(install) -> None:  # type: ignore[no-untyped-def]
    install("plug_a", {"hello": "plug_a:Hello"}, GOOD)
    install("plug_b", {"hello": "plug_b:Hello"}, GOOD)
    with pytest.raises(ValueError, match="two plugins"):
        Registry("greeters", Contract)
