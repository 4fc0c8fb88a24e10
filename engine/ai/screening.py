"""The first look at a description: is it text that can be worked with at all?"""

from __future__ import annotations

import re
import unicodedata

from engine.kernel.errors import InvalidInput, NotUnderstood, TooLarge

MAX_CHARACTERS = 20_000
EXAMPLE_EN = "A clinic where patients book appointments and pay with mada."
EXAMPLE_AR = "عيادة يحجز فيها المرضى المواعيد ويدفعون عبر مدى."
MEND = (
    f"Describe who uses the platform and what it keeps, for example: “{EXAMPLE_EN}” «{EXAMPLE_AR}»"
)

_BREAKS = re.compile(r"[\t\x0b\f\r\n\u0085\u2028\u2029]+")
_SPACES = re.compile(r"[^\S\n]+")
_LETTER_RUN = re.compile(r"[^\W\d_]{2,}")


def screen(description: str) -> str:
    """The description as clean text: NFC, without control and direction characters.

    Line breaks stay as one `\\n` each; other white space becomes one space. Raises `TooLarge`
    beyond `MAX_CHARACTERS`, `InvalidInput` when it is empty or not valid Unicode, `NotUnderstood`
    when no word is in it.
    """
    if len(description) > MAX_CHARACTERS:
        raise TooLarge(
            f"The description has {len(description):,} characters; {MAX_CHARACTERS:,} is the most.",
            mend="Shorten it to what the platform does; details can be added to the Blueprint.",
            limit=MAX_CHARACTERS,
            length=len(description),
        )
    if any(unicodedata.category(letter) == "Cs" for letter in description):
        raise InvalidInput(
            "The description is not valid Unicode text.", mend="Send it as UTF-8 text."
        )
    text = unicodedata.normalize("NFC", _BREAKS.sub("\n", description))
    text = "".join(_clean(letter) for letter in text)
    text = "\n".join(_SPACES.sub(" ", line).strip() for line in text.split("\n")).strip()
    text = re.sub(r"\n{2,}", "\n", text)
    if len(text) > MAX_CHARACTERS:
        raise TooLarge("The description is too long once it is normalised.", limit=MAX_CHARACTERS)
    if not text:
        raise InvalidInput("The description is empty.", mend=MEND)
    if not _LETTER_RUN.search(text):
        raise NotUnderstood("The description has no words.", mend=MEND)
    return text


def _clean(letter: str) -> str:
    category = unicodedata.category(letter)
    if letter == "\n" or category not in {"Cc", "Cf", "Co", "Cn"}:
        return letter
    return " " if category == "Cc" else ""
