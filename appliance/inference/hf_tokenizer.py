"""What `tokenizer.json` and `tokenizer_config.json` say of a chat model, for files that nobody has vouched for."""

from dataclasses import dataclass
from typing import Any, Final

from appliance.inference import json_reader
from appliance.inference.json_reader import DoubtfulError, part

VOCABULARY_BYTES: Final = 64 << 20
CONFIG_BYTES: Final = 8 << 20
TEMPLATE_BYTES: Final = 1 << 18

_KINDS: Final = frozenset({"BPE", "Unigram"})
_WORD_MAX: Final = 200


@dataclass(frozen=True)
class Words:
    """What templates have to know."""

    begin: str
    """The token that a conversation begins with, as a text; empty if there is none."""
    end: str
    template: str
    """Jinja; empty if there is none."""


def size(data: bytes) -> int:
    """How many tokens a `tokenizer.json` makes: one more than the highest number.

    Raises:
        DoubtfulError: damaged, or of a kind that chat models don't have.
    """
    said = json_reader.read(data, VOCABULARY_BYTES)
    model, added = part(said, "model"), said.get("added_tokens") or []
    if model.get("type") not in _KINDS or not isinstance(added, list):
        raise DoubtfulError("is of a kind that is not known")
    listed = model.get("vocab")
    numbers = [each.get("id") if isinstance(each, dict) else None for each in added]
    if isinstance(listed, dict):
        numbers += listed.values()
    elif isinstance(listed, list) and listed:
        numbers.append(len(listed) - 1)
    else:
        raise DoubtfulError("has no tokens")
    highest = -1
    for number in numbers:
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < 1 << 21:
            raise DoubtfulError("has a token without a number")
        highest = max(highest, number)
    if highest < 0:
        raise DoubtfulError("has no tokens")
    return highest + 1


def words(data: bytes, template: bytes | None = None) -> Words:
    """What a `tokenizer_config.json` says; `template` is a `chat_template.jinja` that lies beside it.

    Raises:
        DoubtfulError: for everything that is not right.
    """
    said = json_reader.read(data, CONFIG_BYTES)
    own = _template(said.get("chat_template")) if template is None else decoded(template)
    return Words(_word(said, "bos_token"), _word(said, "eos_token"), own)


def decoded(template: bytes) -> str:
    """A chat template.

    Raises:
        DoubtfulError: too long, or no text.
    """
    try:
        text = template.decode("utf-8")
    except UnicodeDecodeError:
        raise DoubtfulError("has an impossible chat template") from None
    if len(template) > TEMPLATE_BYTES or "\0" in text:
        raise DoubtfulError("has an impossible chat template")
    return text


def _word(said: dict[str, Any], key: str) -> str:
    value = said.get(key)
    if isinstance(value, dict):
        value = value.get("content")
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > _WORD_MAX or "\0" in value:
        raise DoubtfulError(f"{key} is not a word")
    return value


def _template(value: object) -> str:
    """One, or several by name, of which that for everything counts."""
    if isinstance(value, list):
        named = [each for each in value if isinstance(each, dict) and each.get("name") == "default"]
        value = named[0].get("template") if named else None
    if value is None:
        return ""
    if not isinstance(value, str):
        raise DoubtfulError("has an impossible chat template")
    return decoded(value.encode("utf-8", "replace"))
