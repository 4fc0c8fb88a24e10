from __future__ import annotations

from typing import Any

import pytest

from serve_apps.routes.input import MOST_NESTED, check_storable


def nested(levels: int) -> Any:
    value: Any = "x"
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [None, 1, 1.5, True, "text", "نص 👩‍⚕️", {"a": [1, {"b": None}]}, nested(MOST_NESTED - 1)],
)
def test_what_storage_can_keep(value: Any) -> None:
    check_storable(value)


@pytest.mark.parametrize(
    "value",
    [
        "\0",
        {"a": ["b\0"]},
        {"k\0": 1},
        "\ud800",
        {"a": "x\udfff"},
        float("nan"),
        [float("inf")],
        nested(MOST_NESTED + 1),
        nested(100_000),
    ],
)
def test_what_storage_cannot_keep(value: Any) -> None:
    with pytest.raises(ValueError):
        check_storable(value)
