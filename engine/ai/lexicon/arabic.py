"""Arabic words: one spelling, their possible stems, and Latin identifiers.

The stems are candidates for a look-up, most literal first: a light stemmer in the manner of
Larkey's light10, with suffix rules that also give back the feminine ending.
"""

from __future__ import annotations

import re
from functools import lru_cache

_MARKS = re.compile(r"[\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed\u0640]")
_FOLDED = str.maketrans("أإآٱىةؤئ", "اااايهوي")
_LETTERS = re.compile(r"[\u0621-\u064a\u066e-\u06d3]")

# Words that begin with the letter waw, so that it isn't taken for "and". Folded spelling.
_WAW_WORDS = frozenset(
    """
    وصفه وصفات وقت وزن وثيقه وثائق وثايق ورشه ورش وكيل وكلاء وحده وحدات ولي وظيفه وظايف وسيط وسطاء
    وجبه وجبات وديعه ودايع ورده ورود ورق ورقه اوراق وسام وسيله وسايل وصل وصول وصف وضع وعد وفاه وفد
    وقف وقود ولاده وليمه وصيه وكاله وكالات وجهه وجهات وادي وباء وتر وجه وحش واجب واجبات واجهه والد
    والده والدين وارد واردات وزاره وزير وطن وساطه وسط وشاح وضوء وعاء وعي ولاء ولد ويب ورم وريد وصي
    ورديه ورديات وقايه وقايي وصفيه وطني وطنيه وهمي وحيد واحد واحده واضح وسوم
    """.split()  # noqa: SIM905
)
_BROKEN_PLURALS = {
    "مرضي": "مريض", "اطباء": "طبيب", "طلاب": "طالب", "طلبه": "طالب", "كتب": "كتاب", "مدن": "مدينه",
    "خلايا": "خليه", "عملاء": "عميل", "زباين": "زبون", "اعضاء": "عضو", "مهام": "مهمه",
    "اجهزه": "جهاز", "ادويه": "دواء", "اسعار": "سعر", "ارقام": "رقم", "اسماء": "اسم",
    "تواريخ": "تاريخ", "صور": "صوره", "اماكن": "مكان", "عناوين": "عنوان", "ايام": "يوم",
    "اوقات": "وقت", "انواع": "نوع", "اوزان": "وزن", "احجام": "حجم", "الوان": "لون",
    "مزارع": "مزرعه", "حقول": "حقل", "بيوت": "بيت", "غرف": "غرفه", "قوارب": "قارب",
    "سفن": "سفينه", "رحلات": "رحله", "حساسات": "حساس", "ملاك": "مالك", "تجار": "تاجر",
    "عمال": "عامل", "حراس": "حارس", "ركاب": "راكب", "زوار": "زاير", "قطع": "قطعه",
    "نسخ": "نسخه", "رسايل": "رساله", "اشجار": "شجره", "طيور": "طاير", "احواض": "حوض",
    "كواكب": "كوكب", "نجوم": "نجم", "مراكب": "مركب", "جداول": "جدول", "نتايج": "نتيجه",
    "رسوم": "رسم", "عقود": "عقد", "قضايا": "قضيه", "هدايا": "هديه", "مرايا": "مراه",
}  # fmt: skip
_PRONOUNS = ("هما", "كما", "هم", "هن", "ها", "كم", "نا", "ه")


def is_arabic(word: str) -> bool:
    return bool(_LETTERS.search(word))


def strip_marks(text: str) -> str:
    """`text` without vowel marks and tatweel."""
    return _MARKS.sub("", text)


@lru_cache(maxsize=20_000)
def fold(word: str) -> str:
    """One spelling: no marks or tatweel; alef, ya, ta marbuta and hamza seats made equal."""
    return _MARKS.sub("", word).translate(_FOLDED)


def without_article(folded: str) -> str:
    """`الكتاب` as `كتاب`; `للكتاب` keeps its preposition, see `stems`."""
    return folded[2:] if folded.startswith("ال") and len(folded) > 4 else folded


def is_definite(word: str) -> bool:
    folded = fold(word)
    return len(folded) > 4 and folded.startswith(("ال", "لل", "بال", "كال"))


@lru_cache(maxsize=20_000)
def stems(word: str) -> tuple[str, ...]:
    """Possible dictionary forms of `word` (folded), the most literal first, without repeats."""
    folded = fold(word)
    bases = [folded, without_article(folded)]
    if folded.startswith("لل") and len(folded) > 4:
        bases.append(folded[2:])
    for prefix in ("بال", "كال", "لال"):
        if folded.startswith(prefix) and len(folded) > 5:
            bases.append(folded[3:])
    if len(folded) > 4 and folded[0] in "بلك":
        bases.append(folded[1:])
    found: list[str] = []
    for base in bases:
        found.append(base)
        found.extend(_singulars(base))
    return tuple(dict.fromkeys(found))


def _singulars(base: str) -> list[str]:
    found: list[str] = []
    if base in _BROKEN_PLURALS:
        found.append(_BROKEN_PLURALS[base])
    if len(base) > 4 and base.endswith("ات"):
        found += [base[:-2] + "ه", base[:-2]]
    if len(base) > 4 and base.endswith(("ون", "ين", "ان")):
        found += [base[:-2], base[:-2] + "ه"]
    if len(base) > 5 and base.endswith(("تان", "تين")):
        found.append(base[:-3] + "ه")
    if len(base) > 4 and base.endswith(("و", "ي")):
        found.append(base[:-1])
    if len(base) > 4 and base.endswith("ا"):
        found.append(base[:-1])
    for pronoun in _PRONOUNS:
        if base.endswith(pronoun) and len(base) - len(pronoun) >= 3:
            core = base[: -len(pronoun)]
            found.append(core)
            if core.endswith("ت"):
                found.append(core[:-1] + "ه")
            if core in _BROKEN_PLURALS:
                found.append(_BROKEN_PLURALS[core])
            break
    pattern = re.fullmatch(r"م(.)ا(.)(.)", base)
    if pattern:
        found.append("م" + "".join(pattern.groups()))
    pattern = re.fullmatch(r"م(.)ا(.)ي(.)", base)
    if pattern:
        first, second, third = pattern.groups()
        found.append(f"م{first}{second}و{third}")
    pattern = re.fullmatch(r"ا(.)(.)ا(.)", base)
    if pattern:
        found.append("".join(pattern.groups()))
    return found


def singular(word: str) -> str:
    """The likely singular of a word that no dictionary knows, spelled as it was written.

    Only endings and patterns that are rarely wrong are undone; the article goes in any case.
    """
    bare = _MARKS.sub("", word)
    folded = fold(bare)
    if folded.startswith("لل") and len(folded) > 4:
        bare = bare[2:]
    elif folded.startswith(("بال", "كال")) and len(folded) > 5:
        bare = bare[3:]
    elif folded.startswith("ال") and len(folded) > 4:
        bare = bare[2:]
    folded = fold(bare)
    if folded in _BROKEN_PLURALS:
        return re.sub("ه$", "ة", _BROKEN_PLURALS[folded])
    if len(bare) > 4 and bare.endswith("ات"):
        return bare[:-2] + "ة"
    if len(bare) > 4 and bare.endswith(("ون", "ين")):
        return bare[:-2]
    if re.fullmatch(r"م.ا..", folded) and len(bare) == 5:
        return bare[0] + bare[1] + bare[3:]
    if re.fullmatch(r"م.ا.ي.", folded) and len(bare) == 6:
        return f"{bare[0]}{bare[1]}{bare[3]}و{bare[5]}"
    if re.fullmatch(r"[اأ]..ا.", bare) and len(bare) == 5:
        return bare[1:3] + bare[4]
    return bare


def begins_with_and(word: str) -> bool:
    """Is the first letter likely the conjunction waw, for a word that no dictionary knows?"""
    folded = fold(word)
    if not folded.startswith("و") or len(folded) < 4:
        return False
    return not any(stem in _WAW_WORDS for stem in stems(folded))


_LATIN = {
    "ا": "a", "ب": "b", "ت": "t", "ث": "th", "ج": "j", "ح": "h", "خ": "kh", "د": "d", "ذ": "dh",
    "ر": "r", "ز": "z", "س": "s", "ش": "sh", "ص": "s", "ض": "d", "ط": "t", "ظ": "z", "ع": "a",
    "غ": "gh", "ف": "f", "ق": "q", "ك": "k", "ل": "l", "م": "m", "ن": "n", "ه": "h", "و": "w",
    "ي": "y", "ء": "", "أ": "a", "إ": "i", "آ": "a", "ٱ": "a", "ى": "a", "ة": "a", "ؤ": "o",
    "ئ": "i", "پ": "p", "چ": "ch", "ڤ": "v", "گ": "g", "ژ": "zh", "ک": "k", "ی": "y",
}  # fmt: skip
_VOWELS = frozenset("aiou")


def transliterate(word: str) -> str:
    """`word` in Latin letters (a–z only), the same every time; an `a` breaks up consonants.

    The scheme is meant for identifiers: readable, not reversible.
    """
    sounds: list[str] = []
    letters = [letter for letter in _MARKS.sub("", word) if letter in _LATIN]
    for index, letter in enumerate(letters):
        sound = _LATIN[letter]
        inside = 0 < index < len(letters) - 1
        next_open = index + 1 < len(letters) and _LATIN[letters[index + 1]][:1] in _VOWELS
        if letter in "وي" and index > 0 and not next_open and sounds and sounds[-1] not in _VOWELS:
            sound = "u" if letter == "و" else "i"
        elif letter == "ي" and inside and not next_open:
            sound = "y"
        if sound:
            sounds.append(sound)
    out: list[str] = []
    for index, sound in enumerate(sounds):
        after = sounds[index + 1] if index + 1 < len(sounds) else ""
        out.append(sound)
        if sound in _VOWELS or not after or after in _VOWELS:
            continue
        cluster = index == 0 or (sounds[index - 1] not in _VOWELS and out[-2:-1] != ["a"])
        final = index + 2 == len(sounds)
        if cluster or final:
            out.append("a")
    text = re.sub(r"a{2,}", "a", "".join(out))
    return text
