"""How the box is, as lines for a terminal: a sign, a word and, where it can be shown, a colour for each state."""

import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any, Final

import click

from webui import locales
from webui.locales import Language

Json = Mapping[str, Any]

_SIGNS: Final = {"ok": "✓", "warning": "!", "error": "×", "unknown": "?"}
_COLOURS: Final = {"ok": "green", "warning": "yellow", "error": "red", "unknown": None}
_GROUPS: Final = ("machine", "box", "trust")
_SUM: Final = {"errors": "error", "warnings": "warning"}


def lines(found: Json, language: Language, *, with_colour: bool) -> Iterator[str]:
    """All of it: every check in its group, then what needs somebody, then the sum."""
    words = _Words(language, with_colour=with_colour)
    for group in _GROUPS:
        checks = [check for check in found["checks"] if check["group"] == group]
        if checks:
            yield from ("", words.say(f"health.group.{group}"))
        yield from (words.check(check) for check in checks)
    if not found["findings"]:
        yield from ("", words.say("cli.doctor.nothing"))
        return
    yield from ("", words.say("status.findings"))
    for each in found["findings"]:
        yield from words.finding(each)
    counts = {name: sum(each["state"] == state for each in found["findings"]) for name, state in _SUM.items()}
    yield from ("", words.say("cli.doctor.sum", params=counts))


class _Words:
    def __init__(self, language: Language, *, with_colour: bool) -> None:
        self._language, self._with_colour = language, with_colour
        self._broad = max(_width(self.say(f"status.state_{name}")) for name in _SIGNS) + 2

    def say(self, key: str, otherwise: str = "", params: Json | None = None) -> str:
        """The sentence of a key; `otherwise` where there is none, as a later release may name more."""
        text = locales.catalogue(self._language).get(key)
        return otherwise if text is None else locales.fill(text, params or {}, self._language)

    def check(self, check: Json) -> str:
        """A line."""
        name = check["name"]
        about = " · ".join(filter(None, (self._of(name, part, check[part]) for part in ("value", "note"))))
        title = self.say(f"health.{name}.title", name)
        return f"  {self._state(check['state'])}{title}{f': {about}' if about else ''}"

    def finding(self, each: Json) -> Iterator[str]:
        """What it is, what it means, what to do, and until when nobody is reminded of it."""
        base, params = f"health.{each['check']}.{each['name']}", each["params"]
        yield f"  {self._state(each['state'])}{self.say(f'{base}.title', each['name'], params)}  {each['code']}"
        for part, sign in (("meaning", " "), ("advice", "→")):
            if text := self.say(f"{base}.{part}", params=params):
                yield f"    {sign} {text}"
        if each["snoozed_until"]:
            yield f"      {self.say('status.snoozed', params={'when': each['snoozed_until'][:10]})}"

    def _of(self, name: str, part: str, words: Json | None) -> str:
        if words is None:
            return ""
        otherwise = self.say("health.crashed") if words["word"] == "crashed" else ""
        return self.say(f"health.{name}.{part}.{words['word']}", otherwise, words["params"])

    def _state(self, name: str) -> str:
        word = self.say(f"status.state_{name}")
        shown = f"{_SIGNS[name]} {word}"
        if self._with_colour:
            shown = click.style(shown, fg=_COLOURS[name])
        return shown + " " * (self._broad - _width(word))


def _width(text: str) -> int:
    """Places that it takes in a terminal: two for each Japanese sign."""
    return sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text)
