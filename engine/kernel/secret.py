"""A secret that can't leave by accident."""

from __future__ import annotations

from typing import Any, NoReturn


class Secret:
    """Holds a secret string. Printing, formatting, JSON, pickling and hashing never reveal it.

    The only way out is `reveal()`, which makes every use easy to find.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is never serialised; pass a reference to where it is kept")

    def __eq__(self, other: Any) -> bool:
        return self is other

    __hash__ = None  # type: ignore[assignment]
