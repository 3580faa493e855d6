"""Answer a question: search, decide whether the documents hold it, write, and tie every claim to its source."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from appliance.apps import prompts
from appliance.apps.marks import Mark, MarkReader, Sentence, SentenceReader
from appliance.apps.prompts import Message
from appliance.apps.sampling import sampling
from appliance.apps.writing import Answer, Sink, Writing
from appliance.errors import CancelledError
from appliance.gateway.gateway import ChatRequest, Gateway, ModelInfo
from appliance.gateway.stream import Thought
from appliance.knowledge import cite, tokens
from appliance.knowledge.bases import Base
from appliance.knowledge.cite import Citation
from appliance.knowledge.normalise import language_of
from appliance.knowledge.retrieve import Hit, HitSentence, Retrieval, Retriever, SearchOptions

Say = Callable[[str, str], str]
"""`say(language, key)`: a sentence of the box, from the locales."""

_FACTS = 4
_FACTS_OF_PASSAGE = 2
_FEW_TERMS = 3
_CLOSE = 0.85
"""Share of the best passage's score that makes a second one worth showing."""
_READ_PASSAGES = 4
_NEAREST = 2
_ANSWER_TOKENS = 1024
_TINY_TOKENS = 120
_THOUGHT_TOKENS = 1024


@dataclass(frozen=True)
class Question:
    """What is asked. `history` are OpenAI messages; `bases` must be readable by the person who asks."""

    text: str
    model: str
    bases: Sequence[Base] = ()
    history: Sequence[Message] = ()
    continued: str = ""
    """Text of an answer to go on with after a length cut."""
    cited: Sequence[Citation] = ()
    """What that text refers to: its numbers stay."""
    system: str = ""
    """What the person wants of every answer. Where the box words an answer itself, it has no say."""
    sampling: Mapping[str, Any] = field(default_factory=dict)
    """Parameters of a chat request, by the names that presets give them."""
    asker: str = ""
    """Whose turn it waits in, at each model that it needs; empty for the box's own."""
    client: str = ""
    """Which of that one's clients asks: a key's id, or empty for their browsers."""


class Answering:
    """The one way to an answer: for chats, the command line and `kb:` models alike."""

    def __init__(self, gateway: Gateway, retriever: Retriever, say: Say) -> None:
        self._gateway, self._retriever, self._say = gateway, retriever, say

    def answer(self, question: Question, sink: Sink) -> Answer:
        """Write the answer into `sink` as it comes and return it whole.

        A stop ends it with what was written so far and `stats["finish"] == "cancelled"`.

        Raises:
            HakoError: the model or the search failed; what was written is in the sink.
        """
        gateway = self._gateway.in_turn_of(question.asker, question.client)
        return Answering(gateway, self._retriever.asking(gateway), self._say)._write(question, sink)  # noqa: SLF001

    def _write(self, question: Question, sink: Sink) -> Answer:
        model = self._gateway.model(question.model)
        writing = Writing(sink, model.id, question.cited)
        try:
            if question.bases and not question.continued:
                self._from_documents(question, model, writing)
            elif question.bases and question.cited:
                self._go_on(question, model, writing)
            else:
                self._chat(question, model, writing)
        except CancelledError:
            writing.answer.stats["finish"] = "cancelled"
        finally:
            sink.on_stop(None)
        return writing.close()

    def _from_documents(self, question: Question, model: ModelInfo, writing: Writing) -> None:
        found = self._search(question, writing)
        answer = writing.answer
        read = found.hits[:_READ_PASSAGES]
        answer.verdict = found.verdict
        answer.sources = [_source(hit) for hit in read]
        documents = len({hit.document_id for hit in read})
        answer.stats |= {"retrieval_ms": found.elapsed_ms, "documents": documents, "passages": len(read)}
        writing.sink.emit("sources", items=answer.sources)
        writing.sink.emit("stage", stage="reading", documents=documents, passages=len(read))
        language = language_of(question.text)
        tiny = model.size_class == "tiny"
        generated = bool(
            found.verdict != "none"
            and read
            and not (tiny and (language not in model.languages or found.verdict == "perhaps"))
        )
        answer.mode = "generated" if generated else "extractive"
        writing.sink.emit("verdict", verdict=found.verdict, mode=answer.mode)
        if not generated:
            self._extract(found, language, writing)
        elif tiny:
            self._write_tiny(question, read, model, writing)
        else:
            self._write_sourced(question, read, language, model, writing)

    def _go_on(self, question: Question, model: ModelInfo, writing: Writing) -> None:
        """More of an answer from the documents that was cut: whether they hold it was decided then."""
        found = self._search(question, writing)
        self._write_sourced(question, found.hits[:_READ_PASSAGES], language_of(question.text), model, writing)

    def _search(self, question: Question, writing: Writing) -> Retrieval:
        writing.sink.emit("stage", stage="searching")
        found = self._retriever.search(
            question.bases, _query(question), SearchOptions(), writing.sink.stopped, writing.waits
        )
        writing.check()
        return found

    def _extract(self, found: Retrieval, language: str, writing: Writing) -> None:
        """No model: the words of the documents themselves."""
        if found.verdict == "answer":
            for part, hit in enumerate(_close_seconds(found.hits)):
                chosen = cite.best_sentences(hit, 2 if part == 0 else 1)
                for sentence in chosen:
                    writing.sentence(sentence.text.strip(), cite.citation(hit, sentence, "quoted"))
            return
        nearest = found.hits
        if found.verdict == "none":  # nothing fits, so at least in the reader's language
            nearest = tuple(sorted(nearest, key=lambda hit: language_of(hit.text) != language))
        nearest = nearest[:_NEAREST]
        key = f"answer.{found.verdict}" if nearest else "answer.empty"
        writing.text(self._say(language, key))
        for hit in nearest:
            (sentence,) = cite.best_sentences(hit, 1)
            writing.text(f"\n\n> {sentence.text.strip()}")
            writing.cite(cite.citation(hit, sentence, "quoted"))

    def _write_tiny(self, question: Question, hits: Sequence[Hit], model: ModelInfo, writing: Writing) -> None:
        facts = _facts(hits)
        request = ChatRequest(
            model=model.id,
            messages=prompts.tiny(question.text, [sentence.text.strip() for _hit, sentence in facts]),
            max_tokens=_TINY_TOKENS,
            temperature=0.0,
            grammar=prompts.tiny_grammar(len(facts)),
            extra={"repeat_penalty": 1.1},
        )
        reader = MarkReader()
        kept = 0
        for delta in self._deltas(request, writing):
            for piece in reader.feed(delta):
                if isinstance(piece, Mark):
                    kept += _write_checked(piece, facts, writing)
        if not writing.answer.text:
            _quote_best(facts, writing)
        writing.answer.mode = "generated" if kept else "extractive"
        if writing.answer.stats["finish"] == "length":  # what was unfinished is not shown: nothing to go on with
            writing.answer.stats["finish"] = "stop"

    def _write_sourced(
        self, question: Question, hits: Sequence[Hit], language: str, model: ModelInfo, writing: Writing
    ) -> None:
        passages = [(hit.title or hit.document, hit.text) for hit in hits]
        begun = _begun(prompts.plain(prompts.unmarked(question.continued)))
        longest, thoughts = max(_ANSWER_TOKENS, model.context // 2), _thoughts(model)
        chosen = sampling(question.sampling, tokens=_ANSWER_TOKENS, longest=longest, thoughts=thoughts, temperature=0.2)
        asked = prompts.sourced(question.text, passages, language, question.history, question.system)
        request = ChatRequest(
            model=model.id,
            messages=[*asked, *begun],
            max_tokens=chosen.max_tokens,
            temperature=chosen.temperature,
            extra=chosen.extra,
        )
        reader = SentenceReader()
        for delta in self._deltas(request, writing):
            for piece in reader.feed(delta):
                if isinstance(piece, Sentence):
                    _match(piece, hits, writing)
                else:
                    writing.text(piece.text)
        for last in reader.close():
            _match(last, hits, writing)

    def _chat(self, question: Question, model: ModelInfo, writing: Writing) -> None:
        wish = [{"role": "system", "content": question.system}] if question.system.strip() else []
        own = [{"role": "user", "content": question.text}, *_begun(question.continued)]
        longest, schema, thoughts = model.context // 2, not question.continued, _thoughts(model)
        chosen = sampling(
            question.sampling, tokens=_ANSWER_TOKENS, longest=longest, thoughts=thoughts, with_schema=schema
        )
        request = ChatRequest(
            model=model.id,
            messages=[*wish, *question.history, *own],
            max_tokens=chosen.max_tokens,
            temperature=chosen.temperature,
            extra=chosen.extra,
        )
        for delta in self._deltas(request, writing):
            writing.text(delta)

    def _deltas(self, request: ChatRequest, writing: Writing) -> Iterator[str]:
        """The model's text as it comes; the figures go into the answer however it ends."""
        sink = writing.sink
        with self._gateway.chat(request, stopped=sink.stopped, waits=writing.waits) as stream:
            sink.on_stop(stream.cut)
            sink.emit("stage", stage="writing")
            try:
                for piece in stream:
                    if isinstance(piece, Thought):
                        writing.think(piece.text)
                    else:
                        yield piece
            finally:
                writing.note(stream)


def _thoughts(model: ModelInfo) -> int:
    """Tokens that a model may think for before its answer."""
    return min(_THOUGHT_TOKENS, model.context // 4) if model.thinking else 0


def _query(question: Question) -> str:
    """What to search for. "And at night?" says too little by itself: the question before it says what it is about."""
    before = next((str(entry["content"]) for entry in reversed(question.history) if entry["role"] == "user"), "")
    if before and len(tokens.content_terms(question.text)) < _FEW_TERMS:
        return f"{before}\n{question.text}"
    return question.text


def _begun(answer: str) -> list[Message]:
    """An answer that the model goes on with, as the last message."""
    return [{"role": "assistant", "content": answer}] if answer else []


def _source(hit: Hit) -> dict[str, Any]:
    """A passage that was read, as the API tells it."""
    return {
        "document_id": hit.document_id,
        "base_id": hit.base_id,
        "document": hit.document,
        "title": hit.title,
        "page": hit.page,
        "score": hit.score,
    }


def _close_seconds(hits: Sequence[Hit]) -> list[Hit]:
    """The best passage, and the next one if it is nearly as good: two documents may each hold half an answer."""
    return [hit for hit in hits[:2] if hit.score >= _CLOSE * hits[0].score]


def _facts(hits: Sequence[Hit]) -> list[tuple[Hit, HitSentence]]:
    """The best sentences of the passages that were read, the best passage's first, none twice."""
    facts: list[tuple[Hit, HitSentence]] = []
    seen: set[str] = set()
    for hit in hits:
        for sentence in cite.best_sentences(hit, _FACTS_OF_PASSAGE):
            if sentence.text.strip() not in seen and len(facts) < _FACTS:
                seen.add(sentence.text.strip())
                facts.append((hit, sentence))
    return facts


def _write_checked(mark: Mark, facts: Sequence[tuple[Hit, HitSentence]], writing: Writing) -> bool:
    """A tiny model's sentence, if our own look finds it in its source; else the best words of the documents.

    That is why its sentences are held back until their mark has come: what was shown can't be taken back.
    """
    hit, sentence = facts[min(max(mark.n, 1), len(facts)) - 1]
    verdict = cite.judge(mark.claim, hit, sentence)
    if verdict == "check":
        _quote_best(facts, writing)
        return False
    writing.sentence(mark.claim, cite.citation(hit, sentence, verdict))
    return True


def _quote_best(facts: Sequence[tuple[Hit, HitSentence]], writing: Writing) -> None:
    """The documents' best sentence, once: a second one that the model could not word either would only dilute it."""
    hit, sentence = facts[0]
    writing.sentence(sentence.text.strip(), cite.citation(hit, sentence, "quoted"))


def _match(sentence: Sentence, hits: Sequence[Hit], writing: Writing) -> None:
    """Tie a finished sentence to the passage that supports it, or remember that none does."""
    found = cite.match(sentence.text, hits)
    if found:
        hit, source, mark = found
        writing.cite(cite.citation(hit, source, mark))
    else:
        end = len(writing.answer.text)
        writing.answer.unsourced.append((end - (sentence.end - sentence.start), end))
