"""The sentences of both languages: catalogues, the reader's language, and errors as sentences."""

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from string import Formatter
from typing import Final, Literal, cast, get_args

from appliance.errors import HakoError, Param

Language = Literal["ja", "en"]
LANGUAGES: Final = cast("tuple[Language, ...]", get_args(Language))
FOLDER: Final = Path(__file__).parent / "locales"

_SENTENCE_END: Final = re.compile(r"(?<=。)|(?<=[.!?])\s+")
_UNKNOWN: Final = "–"


@cache
def catalogue(language: Language) -> Mapping[str, str]:
    """All sentences of a language by key."""
    loaded = json.loads((FOLDER / f"{language}.json").read_text("utf-8"))
    return {str(key): str(text) for key, text in loaded.items()}


def t(key: str, language: Language, **params: Param) -> str:
    """The sentence of a key; the key itself where there is none, which a test forbids."""
    text = catalogue(language).get(key, key)
    return fill(text, params, language)


def placeholders(text: str) -> frozenset[str]:
    """The names in braces."""
    return frozenset(name for _, name, _, _ in Formatter().parse(text) if name)


def fill(text: str, params: Mapping[str, Param], language: Language) -> str:
    """Put the figures in. A sentence whose figure isn't known is left out, unless it is the only one."""
    if "{" not in text:
        return text
    if placeholders(text) <= params.keys():
        return text.format_map(params)
    known = [part for part in _SENTENCE_END.split(text) if placeholders(part) <= params.keys()]
    if not known:
        return text.format_map({name: params.get(name, _UNKNOWN) for name in placeholders(text)})
    return ("" if language == "ja" else " ").join(known).format_map(params).strip()


def sentence(error: HakoError, language: Language) -> str:
    """What a person reads about an error. A `reason` that has words of its own is told in them."""
    said = catalogue(language).get(f"error.{error.code}.reason.{error.params.get('reason')}")
    params = error.params if said is None else {**error.params, "reason": fill(said, error.params, language)}
    return t(f"error.{error.code}", language, **params)


def choose(*wishes: str | None, accept: str = "", default: Language = "ja") -> Language:
    """The first wish that is a language we have, else the browser's best, else the box's own."""
    for wish in wishes:
        if wish in LANGUAGES:
            return wish
    return _from_header(accept[:200]) or default


def _from_header(accept: str) -> Language | None:
    best: tuple[float, Language] | None = None
    for part in accept.split(","):
        tag, _, quality = part.strip().partition(";q=")
        language = tag.split("-")[0].strip().lower()
        if language not in LANGUAGES:
            continue
        try:
            weight = float(quality or 1)
        except ValueError:
            continue
        if weight > 0 and (best is None or weight > best[0]):
            best = (weight, language)
    return best[1] if best else None
