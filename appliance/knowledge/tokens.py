"""Index terms: bigrams and single characters of scripts without spaces, Porter stems of all other words."""

import re
import threading
from collections.abc import Iterable
from typing import cast

import apsw

from appliance.knowledge.normalise import HIRAGANA, UNSPACED, search_form

VERSION = 1
"""Part of what the index was built with: another number means that every base has to be indexed again."""

STOP_WORDS = frozenset(
    """
    a about after all also am an and any are as at be because been before being between both but by can could did do
    does doing during each few for from further had has have having he her here hers him his how i if in into is it
    its itself just me more most my no nor not of off on once only or other our ours out over own same she should so
    some such than that the their theirs them then there these they this those through to too under until up very was
    we were what when where which while who whom whose why will with would you your yours
    """.split()  # noqa: SIM905 - readable as a text
)

_RUN = re.compile(f"[{UNSPACED}]+")
_ALL_HIRAGANA = re.compile(f"[{HIRAGANA}]+")
_CLITIC = re.compile(r"(?<=\w)['\u2019](?:s|t|d|m|re|ve|ll)\b")


class _Stemmer(threading.local):
    """SQLite's own full-text tokenizer, so that a stem here is the stem there; an object of one thread."""

    def __init__(self) -> None:
        self._connection = apsw.Connection(":memory:")
        self.tokenize = self._connection.fts5_tokenizer("porter", ["unicode61"])


_stemmer = _Stemmer()


def words(form: str) -> list[tuple[str, str]]:
    """(word, stem) of the words between spaces in a search form; unspaced scripts are left out."""
    spaced = _CLITIC.sub("", _RUN.sub(" ", form))
    if not spaced or spaced.isspace():
        return []
    raw = spaced.encode()
    found = _stemmer.tokenize(raw, apsw.FTS5_TOKENIZE_DOCUMENT, None)
    return [(raw[start:end].decode(), stem) for start, end, stem in cast("list[tuple[int, int, str]]", found)]


def stems(form: str) -> list[str]:
    """Stems of the words in a search form, in order."""
    return [stem for _, stem in words(form)]


def runs(form: str) -> list[str]:
    """The stretches of unspaced script in a search form."""
    return _RUN.findall(form)


def bigrams(run: str) -> list[str]:
    """Neighbouring pairs of characters."""
    return [run[i : i + 2] for i in range(len(run) - 1)]


def index_tokens(text: str) -> list[str]:
    """Every term under which a text can be found, each as often as it occurs."""
    form = search_form(text)
    tokens = stems(form)
    for run in runs(form):
        tokens += bigrams(run)
        tokens += run
    return tokens


def query_terms(query: str) -> list[str]:
    """What to look up for a question: its terms once each, without those that say nothing about the subject."""
    form = search_form(query)
    terms = _meaningful_stems(form)
    for run in runs(form):
        terms += bigrams(run)
        terms += [character for character in run if not is_hiragana(character)]
    return list(dict.fromkeys(terms)) or list(dict.fromkeys(index_tokens(query)))


def content_terms(text: str) -> list[str]:
    """The terms that carry meaning: stems of words, bigrams that aren't all hiragana; once each."""
    form = search_form(text)
    terms = _meaningful_stems(form)
    for run in runs(form):
        terms += [pair for pair in (bigrams(run) or [run]) if not is_hiragana(pair)]
    return list(dict.fromkeys(terms))


def is_hiragana(term: str) -> bool:
    """Whether a term is hiragana only: endings and particles."""
    return _ALL_HIRAGANA.fullmatch(term) is not None


def is_spaced(term: str) -> bool:
    """Whether a term is the stem of a word, not a piece of unspaced script."""
    return _RUN.match(term) is None


def _meaningful_stems(form: str) -> list[str]:
    return [stem for word, stem in words(form) if word not in STOP_WORDS]


def joined(tokens: Iterable[str]) -> str:
    """Tokens as the index takes them: its tokenizer splits at spaces only and leaves non-ASCII alone."""
    return " ".join(tokens)
