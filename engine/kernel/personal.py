"""Personal data in events: declared by the event, sealed before it is stored, opened in answers.

An event names its personal fields and, for each, the field that holds whose data it is
(`Event.personal`). What is stored is a `Sealed` value under a key of that subject alone, in the
event, in every document folded from it, in remembered answers and in the tenant's log. Without the
key nothing of it can be read again, while events, documents and proofs stay as they are.

A handler answers with what it finds, sealed. Whoever gives the answer out opens it (`opened`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Protocol, TypeVar

from pydantic import BaseModel, StringConstraints, WithJsonSchema

from engine.kernel.contracts import Message, View

V = TypeVar("V", bound=View)

ERASED = "(erased)"
"""What a personal value reads as once its key is gone."""

SubjectId = Annotated[
    str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*:[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=120)
]
"""Who data is about, as `kind:id`. It is stored in the clear for ever, so it must be a pseudonym:
never a name, an e-mail address or another thing that tells who somebody is."""


class Sealed(Message):
    """A personal value that only its subject's key opens.

    `place` says where it belongs; put anywhere else it does not open. `sealed` is base64.
    """

    subject: str
    place: str
    sealed: str


PersonalText = Annotated[str | Sealed, WithJsonSchema({"type": "string"})]
"""In a stored event always `Sealed`, but for events from before the field was personal."""


class Opener(Protocol):
    async def open(self, values: Sequence[Sealed]) -> Sequence[str]:
        """The text of each value, or `ERASED`, in their order."""
        ...


def sealed_in(value: Any) -> Iterator[Sealed]:
    """Every sealed value in an answer."""
    if isinstance(value, Sealed):
        yield value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from sealed_in(getattr(value, name))
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from sealed_in(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from sealed_in(part)


async def opened(view: V, opener: Opener) -> V:
    """The answer with every sealed value opened."""
    values = list(dict.fromkeys(sealed_in(view)))
    if not values:
        return view
    texts = dict(zip(values, await opener.open(values), strict=True))
    found: V = _with(view, texts)
    return found


def _with(value: Any, texts: Mapping[Sealed, str]) -> Any:
    if isinstance(value, Sealed):
        return texts[value]
    if isinstance(value, BaseModel):
        names = type(value).model_fields
        return value.model_copy(update={name: _with(getattr(value, name), texts) for name in names})
    if isinstance(value, Mapping):
        return {name: _with(part, texts) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_with(part, texts) for part in value)
    return value
