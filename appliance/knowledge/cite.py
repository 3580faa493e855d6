"""Citations: which sentence a claim rests on, and how well the document's own words support it."""

import difflib
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from appliance.knowledge import tokens
from appliance.knowledge.hits import Hit, HitSentence
from appliance.knowledge.normalise import search_form

Mark = Literal["quoted", "supported", "check"]

_QUOTED_SHARE = 0.97
_NEAR = 0.35
"""Share of a claim's terms that a sentence must hold to be its source at all."""
_FEWEST_TERMS = 3
_JUDGED = 6
"""Sentences that come nearest to a claim and are judged; the exact rules cost more than counting terms."""

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_WORDLESS = re.compile(r"[\W_]+")
_KANJI_OR_KATAKANA = re.compile("[\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff]+|[\u30a1-\u30fa\u30fc]+")
_NEGATION = re.compile(
    r"\b(?:not|no|never|none|nor|neither|nobody|nothing|without|cannot|unable)\b|n['\u2019]t\b"
    r"|ない|なく|なかっ|なけれ|なし|無し|ませ[んぬ]|ず(?=に|、|。|と|$)|ざる|ぬ(?=。|$)|不可|禁止|未[\u4e00-\u9fff]|非[\u4e00-\u9fff]"
)
_CLAUSE_END = re.compile(r"[,.](?!\d)|[、。;!?\n]")


@dataclass(frozen=True)
class Citation:
    """A place in a document that an answer rests on; `start` and `end` are characters into the page's text."""

    n: int
    document_id: str
    base_id: str
    document: str
    title: str
    page: int
    pages: int
    sentence: int
    start: int
    end: int
    quote: str
    passage: str
    mark: Mark

    @property
    def place(self) -> tuple[str, int, int]:
        """What makes two citations the same source."""
        return self.document_id, self.page, self.start

    def numbered(self, n: int) -> "Citation":
        """The same under its number in the answer."""
        return replace(self, n=n)

    def as_dict(self) -> dict[str, Any]:
        """As it is stored with the message and sent by the API."""
        return asdict(self)


def best_sentences(hit: Hit, count: int) -> Sequence[HitSentence]:
    """The `count` sentences that fit the query best, in the order of the text; fragments only for want of more."""
    ranked = sorted(hit.sentences, key=lambda found: (_is_fragment(found.text), -found.score, found.ordinal))
    best = ranked[:count]
    return sorted(best, key=lambda sentence: sentence.ordinal)


def _is_fragment(text: str) -> bool:
    """Too few words to say anything by themselves, e.g. "Too large."."""
    return len(tokens.content_terms(text)) < _FEWEST_TERMS


def citation(hit: Hit, sentence: HitSentence, mark: Mark) -> Citation:
    """A citation of this sentence, not numbered yet."""
    return Citation(
        n=0,
        document_id=hit.document_id,
        base_id=hit.base_id,
        document=hit.document,
        title=hit.title,
        page=sentence.page,
        pages=hit.pages,
        sentence=sentence.ordinal,
        start=sentence.start,
        end=sentence.end,
        quote=sentence.text,
        passage=hit.text,
        mark=mark,
    )


def judge(claim: str, hit: Hit, sentence: HitSentence) -> Mark:
    """How well the sentence supports the claim.

    "quoted": its words in its order. "supported": every number, name and term of the claim is in the sentence (or in
    the title and heading above it), and it is denied in both or in neither. "check": read it yourself.
    """
    said, source = search_form(claim), search_form(sentence.text)
    if not _WORDLESS.sub("", said):
        return "check"
    if _is_quoted(said, source):
        return "quoted"
    return "supported" if _is_supported(said, source, search_form(f"{hit.title} {hit.heading}")) else "check"


def match(claim: str, hits: Sequence[Hit]) -> tuple[Hit, HitSentence, Mark] | None:
    """The sentence of all hits that supports the claim best; None if nothing comes near."""
    terms = set(tokens.content_terms(claim))
    if not terms:
        return None
    near: list[tuple[float, Hit, HitSentence]] = []
    for hit in hits:
        above = set(tokens.index_tokens(f"{hit.title} {hit.heading}"))
        for sentence in hit.sentences:
            own = terms & set(tokens.index_tokens(sentence.text))
            if own:
                share = (len(own) + len((terms & above) - own) / 2) / len(terms)
                near.append((share, hit, sentence))
    near.sort(key=lambda item: -item[0])
    best: tuple[Hit, HitSentence, Mark] | None = None
    for share, hit, sentence in near[:_JUDGED]:
        mark = judge(claim, hit, sentence)
        if mark == "quoted":
            return hit, sentence, mark
        if (mark == "supported" and (best is None or best[2] == "check")) or (best is None and share >= _NEAR):
            best = hit, sentence, mark
    return best


def _is_quoted(claim: str, source: str) -> bool:
    """The claim's characters stand in the sentence in the same order, with the same numbers and negations.

    What little it adds may be an ending: one other digit or kanji makes another claim.
    """
    wanted, (there, places) = _WORDLESS.sub("", claim), _squeezed(source)
    blocks = difflib.SequenceMatcher(None, there, wanted, autojunk=False).get_matching_blocks()
    matched = [block for block in blocks if block.size]
    taken = {i for block in matched for i in range(block.b, block.b + block.size)}
    added = [sign for i, sign in enumerate(wanted) if i not in taken]
    if len(taken) < _QUOTED_SHARE * len(wanted) or not all(tokens.is_hiragana(sign) for sign in added):
        return False
    first, last = places[matched[0].a], places[matched[-1].a + matched[-1].size - 1]
    # Whole clauses: "not" may stand before the words that were taken, 「ません」 after them.
    start = max((border.end() for border in _CLAUSE_END.finditer(source, 0, first)), default=0)
    end = _CLAUSE_END.search(source, last + 1)
    clauses = source[start : end.start() if end else len(source)]
    return (
        _numbers(claim) <= _numbers(source)
        and _terms(claim) <= _terms(source)
        and len(_NEGATION.findall(claim)) == len(_NEGATION.findall(clauses))
    )


def _is_supported(claim: str, source: str, above: str) -> bool:
    """Every number, run of kanji or katakana and stem of a word of the claim is there; both deny as often.

    `above`: title and heading, which say what the sentence is about.
    """
    numbers, runs, terms = _numbers(claim), _KANJI_OR_KATAKANA.findall(claim), _terms(claim)
    if not numbers and not runs and not terms:
        return False
    whole = f"{source} {above}"
    return (
        numbers <= _numbers(whole)
        and terms <= _terms(whole)
        and all(run in whole for run in runs)
        and len(_NEGATION.findall(claim)) == len(_NEGATION.findall(source))
    )


def _terms(form: str) -> set[str]:
    """Stems of the words that carry meaning; numbers are compared as numbers."""
    return {stem for word, stem in tokens.words(form) if word not in tokens.STOP_WORDS and not word.isdecimal()}


def _numbers(form: str) -> set[str]:
    return {number.replace(",", "") for number in _NUMBER.findall(form)}


def _squeezed(form: str) -> tuple[str, list[int]]:
    """A text without blanks and signs, and where each of its characters was."""
    places = [i for i, sign in enumerate(form) if not _WORDLESS.match(sign)]
    return "".join(form[i] for i in places), places
