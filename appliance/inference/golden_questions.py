"""The fixed questions of the golden check, put to a child that has just loaded a model."""

import json
import math
from collections.abc import Iterator
from typing import Any, Final

from appliance.errors import ContextTooLongError, ModelFailedError
from appliance.inference.golden_results import ChatResult, EmbeddingResult, RerankerResult, Result, Word
from appliance.inference.manifest import Manifest
from appliance.inference.transport import ChildConnection

_BEGUN: Final = "The capital of Japan is"
_WORDS: Final = 16
_NEAR: Final = 5
"""Tokens at each place of which the probability is noted."""
_KNOWN: Final = " Tokyo. Water is made of hydrogen and oxygen."
"""Likely to every language model and unlikely to garbage: the text whose perplexity counts."""
_OTHERS: Final = (
    ("日本の首都は", "東京です。水は水素と酸素からできています。"),
    ("1, 2, 3, 4, 5, 6,", " 7, 8, 9, 10, 11, 12, 13, 14, 15, 16"),
)
"""For models that know no English: another language, and what needs none. Each with its likely end."""
_SENSELESS: Final = 500.0
"""Perplexity per token, in the best of the texts. Who guesses blindly has as much as there are tokens, 32,000 and more.
A starter model of 135 million parameters has 15 in the first text and 1.1 while it counts."""
_ALIKE: Final = 8
"""Tokens in a row that are all the same one."""
_FORCE: Final = 10_000
"""Bias that leaves no other choice."""
_MOST: Final = 700.0
"""Of an exponent."""
SENTENCES: Final = ("query: 日本の首都はどこですか。", "passage: Wash your hands before you touch the machine.")
_QUESTION: Final = "What is the capital of Japan?"
_DOCUMENTS: Final = ("The capital of Japan is Tokyo.", "Wash your hands before you touch the machine.")

_TELLS_PROBABILITIES: Final = "llama"
"""The engine whose own server does; the others only write."""


def ask(connection: ChildConnection, manifest: Manifest, *, thoroughly: bool) -> Result | None:
    """What the model answers; None if it holds too little text to be asked.

    `thoroughly` also measures the perplexity of a chat model, which costs more tokens than all else.

    Raises:
        ModelFailedError: it died, or answered something else.
    """
    try:
        match manifest.kind:
            case "chat":
                return _chat(connection, manifest, thoroughly=thoroughly)
            case "embedding":
                return EmbeddingResult(vectors=embed(connection, SENTENCES))
            case _:
                return _rerank(connection)
    except ContextTooLongError:
        return None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelFailedError(f"golden answer: {error!r}", name=manifest.name) from error


def senseless(connection: ChildConnection, result: Result) -> str:
    """Why no language model in any language answers so, in words for the log; empty if one may. Asks more if in doubt.

    For the first load, where there is nothing to compare with.

    Raises:
        ModelFailedError: as `ask`.
    """
    try:
        match result:
            case ChatResult(perplexity=float() as perplexity):
                least = min([perplexity, *_doubted(connection, perplexity)])
                return "" if least <= _SENSELESS else f"perplexity {least:.0f} in the text that it knows best"
            case ChatResult(words=words):
                answers = [[word.piece for word in words]]
                if _is_alike(answers):
                    answers += [_pieces(connection, begun) for begun, _known in _OTHERS]
                return "the same word again and again, whatever it is asked" if _is_alike(answers) else ""
            case RerankerResult(scores=scores):
                return "the same score for different documents" if len(set(scores)) < len(scores) else ""
            case _:
                return ""
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelFailedError(f"golden answer: {error!r}", name="") from error


def _doubted(connection: ChildConnection, perplexity: float) -> Iterator[float]:
    """The perplexities of the other texts; none where the first one is beyond doubt."""
    if perplexity > _SENSELESS:
        for begun, known in _OTHERS:
            yield _perplexity(connection, begun, known)


def _is_alike(answers: list[list[str]]) -> bool:
    return all(len(words) >= _ALIKE for words in answers) and len({word for words in answers for word in words}) == 1


def embed(connection: ChildConnection, texts: tuple[str, ...]) -> tuple[tuple[float, ...], ...]:
    """The vectors of `texts`.

    Raises:
        HakoError: as ChildConnection.json; KeyError, TypeError, ValueError: an answer of another shape.
    """
    answer = connection.json("/v1/embeddings", {"input": list(texts), "truncate": True})
    rows = sorted(answer["data"], key=lambda item: int(item["index"]))
    return tuple(tuple(float(value) for value in row["embedding"]) for row in rows)


def _rerank(connection: ChildConnection) -> RerankerResult:
    body = {"query": _QUESTION, "documents": list(_DOCUMENTS), "raw": True}
    results = sorted(connection.json("/v1/rerank", body)["results"], key=lambda item: int(item["index"]))
    return RerankerResult(scores=tuple(float(item["relevance_score"]) for item in results))


def _chat(connection: ChildConnection, manifest: Manifest, *, thoroughly: bool) -> ChatResult:
    if manifest.engine != _TELLS_PROBABILITIES:
        return ChatResult(words=tuple(Word(piece=piece) for piece in _pieces(connection)))
    words = tuple(_words(connection, n_predict=_WORDS, n_probs=_NEAR, ignore_eos=True))
    return ChatResult(words=words, perplexity=_perplexity(connection, _BEGUN, _KNOWN) if thoroughly else None)


def _perplexity(connection: ChildConnection, begun: str, known: str) -> float:
    """Of `known` after `begun`, per token.

    It is forced on the model token by token; the probabilities that are told are those without force.
    """
    before = _tokens(connection, begun, add_special=True)
    after = _tokens(connection, known, add_special=False)
    figures = []
    for place, token in enumerate(after):
        forced = {"prompt": [*before, *after[:place]], "logit_bias": [[token, _FORCE]], "cache_prompt": True}
        for word in _words(connection, n_predict=1, n_probs=1, **forced):  # none for a part of a letter
            if word.token != token or word.logprob is None:
                return math.inf  # only where all figures are no numbers
            figures.append(word.logprob)
    return math.exp(min(-sum(figures) / len(figures), _MOST)) if figures else math.inf


def _tokens(connection: ChildConnection, text: str, *, add_special: bool) -> list[int]:
    answer = connection.json("/tokenize", {"content": text, "add_special": add_special})
    return [int(token) for token in answer["tokens"]]


def _words(connection: ChildConnection, **more: Any) -> Iterator[Word]:
    body = {
        "prompt": _BEGUN,
        "temperature": 0,
        "seed": 1,
        "stream": False,
        "cache_prompt": False,
        "speculative.n_max": 0,  # words that were guessed come without probabilities
        **more,
    }
    for item in connection.json("/completion", body).get("completion_probabilities") or ():
        others = {int(other["id"]): _number(other["logprob"]) for other in item["top_logprobs"]}
        yield Word(piece=str(item["token"]), token=int(item["id"]), logprob=_number(item["logprob"]), others=others)


def _number(value: float | None) -> float:
    """JSON has no NaN: the engine says null."""
    return math.nan if value is None else float(value)


def _pieces(connection: ChildConnection, begun: str = _BEGUN) -> list[str]:
    """One for each token."""
    connection.send(
        "/v1/completions", {"prompt": begun, "temperature": 0, "seed": 1, "max_tokens": _WORDS, "stream": True}
    )
    connection.begin()
    events = b"".join(connection.chunks()).split(b"\n\n")
    choices = [json.loads(event.removeprefix(b"data: "))["choices"] for event in events if event.startswith(b"data: {")]
    return [str(choice["text"]) for some in choices for choice in some if choice["text"]]
