"""Reranking in the words of Jina's, Cohere's, llama.cpp's and text-embeddings-inference's clients."""

import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from appliance.accounts.permissions import Permission, Principal
from appliance.errors import ModelNotFoundError, WrongModelKindError
from appliance.inference.client import InferenceClient
from appliance.inference.engines import scripted
from appliance.knowledge.rerank import Outcome, Reranker
from appliance.knowledge.retrieve import Retrieval, Retriever
from tests.simulators.box import PASSWORD, Person, TestBox
from tests.simulators.waiting import eventually

PATHS = ["/v1/rerank", "/v1/reranking", "/rerank", "/reranking", "/v2/rerank"]
QUERY = "night shift allowance"
DOCUMENTS = ["the pump stands still", "night shift allowance is 6,000 yen", "a shift at night"]
BEST = [1, 2, 0]


def ask(person: Person, path: str = "/v1/rerank", **changes: Any) -> Any:
    body = {"model": "ranker", "query": QUERY, "documents": DOCUMENTS} | changes
    return person.post("/" + path, json={name: value for name, value in body.items() if value is not ...})


@contextmanager
def without_reranker(box: TestBox) -> Iterator[None]:
    folder = box.settings.models / "ranker"
    aside = box.settings.data_dir / "ranker-aside"
    folder.rename(aside)
    try:
        yield
    finally:
        aside.rename(folder)


@pytest.mark.parametrize("path", PATHS)
def test_the_best_comes_first_and_its_index_is_its_place_in_the_request(bob: Person, path: str) -> None:
    answer = ask(bob, path).get_json()
    assert [result["index"] for result in answer["results"]] == BEST
    scores = [result["relevance_score"] for result in answer["results"]]
    assert scores == sorted(scores, reverse=True)
    assert 0 < scores[-1] < 0.1 < 0.9 < scores[0] < 1
    assert (answer["object"], answer["model"]) == ("list", "ranker")
    assert answer["id"].startswith("rerank-")
    assert answer["usage"]["total_tokens"] == answer["usage"]["prompt_tokens"] > len(DOCUMENTS)
    assert answer["meta"]["tokens"]["input_tokens"] == answer["usage"]["prompt_tokens"]
    assert all("document" not in result for result in answer["results"])


def test_documents_as_objects_come_back_when_asked_for(bob: Person) -> None:
    given = [DOCUMENTS[0], {"text": DOCUMENTS[1], "title": "rules"}, {"text": DOCUMENTS[2]}]
    results = ask(bob, documents=given, return_documents=True).get_json()["results"]
    assert [result["document"] for result in results] == [{"text": DOCUMENTS[index]} for index in BEST]


@pytest.mark.parametrize(("top_n", "count"), [(1, 1), (3, 3), (50, 3), (None, 3)])
def test_top_n_is_kept_and_clamped(bob: Person, top_n: int | None, count: int) -> None:
    results = ask(bob, top_n=top_n).get_json()["results"]
    assert [result["index"] for result in results] == BEST[:count]


@pytest.mark.parametrize("path", PATHS)
def test_texts_are_answered_as_a_bare_list(bob: Person, path: str) -> None:
    body = {"query": QUERY, "texts": DOCUMENTS}  # such clients name no model
    plain = bob.post("/" + path, json=body).get_json()
    assert [entry["index"] for entry in plain] == BEST
    assert all(entry.keys() == {"index", "score"} and 0 < entry["score"] < 1 for entry in plain)
    raw = bob.post("/" + path, json=body | {"raw_scores": True, "return_text": True}).get_json()
    assert [entry["text"] for entry in raw] == [DOCUMENTS[index] for index in BEST]
    assert (raw[0]["score"], raw[-1]["score"]) == (4, -4)


def test_equal_documents_keep_the_order_of_the_request(bob: Person) -> None:
    results = ask(bob, documents=["same"] * 5).get_json()["results"]
    assert [result["index"] for result in results] == [0, 1, 2, 3, 4]


def test_more_documents_than_one_batch_keep_their_places(bob: Person) -> None:
    documents = [f"page {number}" for number in range(150)]
    documents[140] = QUERY
    answer = ask(bob, documents=documents, top_n=1).get_json()
    assert answer["results"][0]["index"] == 140


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"documents": []}, "documents"),
        ({"documents": "one text"}, "documents"),
        ({"documents": [1]}, "documents.0"),
        ({"documents": [{"title": "no text"}]}, "documents.0"),
        ({"documents": ["x"] * 1001}, "documents"),
        ({"documents": ...}, "documents"),
        ({"texts": ["a"]}, "documents"),
        ({"query": ...}, "query"),
        ({"query": ""}, "query"),
        ({"query": None}, "query"),
        ({"query": ["a"]}, "query"),
        ({"top_n": 0}, "top_n"),
        ({"top_n": "many"}, "top_n"),
    ],
)
def test_bad_requests_name_the_field(bob: Person, changes: dict[str, Any], field: str) -> None:
    for path in ("/v1/rerank", "/rerank", "/reranking"):
        answer = ask(bob, path, **changes)
        assert answer.status_code == 400
        error = answer.get_json()["error"]
        assert (error["type"], error["hako_code"]) == ("invalid_request_error", "HK-BOX-003")
        assert error["param"].startswith(field)


@pytest.mark.parametrize("path", PATHS[:4])
@pytest.mark.parametrize(
    ("changes", "status", "kind"),
    [
        ({"texts": []}, 400, "Validation"),
        ({"texts": ["a"], "query": ""}, 400, "Validation"),
        ({"texts": ["a"], "model": "nobody"}, 404, "Validation"),
    ],
)
def test_who_asks_with_texts_reads_errors_with_their_type(
    bob: Person, path: str, changes: dict[str, Any], status: int, kind: str
) -> None:
    answer = ask(bob, path, documents=..., **changes)
    told = answer.get_json()
    assert (answer.status_code, told["error_type"]) == (status, kind)
    assert isinstance(told["error"], str)
    assert told["hako_code"] in told["error"]


def test_who_asks_with_documents_reads_openais_errors(bob: Person) -> None:
    for changes in ({"documents": []}, {"texts": ["a"]}):
        assert ask(bob, "/rerank", **changes).get_json()["error"]["type"] == "invalid_request_error"


def test_coheres_clients_read_errors_under_message(bob: Person) -> None:
    for changes, status, code in (
        ({"documents": []}, 400, "HK-BOX-003"),
        ({"model": "embedder"}, 400, "HK-MOD-008"),
        ({"model": "rerank-v9"}, 404, "HK-MOD-001"),
    ):
        answer = ask(bob, "/v2/rerank", **changes)
        assert (answer.status_code, answer.get_json()["hako_code"]) == (status, code)
        assert code in answer.get_json()["message"]
    assert "HK-BOX-003" in bob.post("//v2/embed", json={}).get_json()["message"]


@pytest.mark.parametrize("model", ["talker", "embedder"])
def test_another_kind_of_model_is_refused_in_words(bob: Person, box: TestBox, model: str) -> None:
    answer = ask(bob, model=model)
    assert (answer.status_code, answer.get_json()["error"]["hako_code"]) == (400, "HK-MOD-008")
    with pytest.raises(WrongModelKindError):
        box.services.gateway.rerank(model, QUERY, DOCUMENTS)


def test_another_machines_model_is_of_another_kind(alice: Person, bob: Person) -> None:
    lab = {"name": "ranks", "url": "http://127.0.0.1:9/v1", "private": True, "models": [{"name": "talker"}]}
    lab["password"] = PASSWORD
    assert alice.post("/destinations", json=lab).status_code == 201
    try:
        answer = ask(bob, model="ranks/talker")
        assert (answer.status_code, answer.get_json()["error"]["hako_code"]) == (400, "HK-MOD-008")
    finally:
        alice.delete("/destinations/ranks")


def test_a_reranker_neither_chats_nor_embeds(bob: Person) -> None:
    chat = {"model": "ranker", "messages": [{"role": "user", "content": "hi"}]}
    for path, body in (("//v1/chat/completions", chat), ("//v1/embeddings", {"model": "ranker", "input": "hi"})):
        assert bob.post(path, json=body).get_json()["error"]["hako_code"] == "HK-MOD-008"


def test_without_a_name_the_only_reranker_answers(bob: Person, box: TestBox) -> None:
    assert ask(bob, model=...).get_json()["model"] == "ranker"
    scripted.install(box.settings.models, "second-ranker", "reranker")
    try:
        answer = ask(bob, model=...)
        assert (answer.status_code, answer.get_json()["error"]["param"]) == (400, "model")
        assert ask(bob, model="second-ranker").status_code == 200
    finally:
        box.services.gateway.unload("second-ranker")
        shutil.rmtree(box.settings.models / "second-ranker")


def test_a_box_without_a_reranker_says_so(bob: Person, box: TestBox) -> None:
    with without_reranker(box):
        for model in (..., "ranker"):
            answer = ask(bob, model=model)
            error = answer.get_json()["error"]
            assert (answer.status_code, error["code"], error["hako_code"]) == (404, "model_not_found", "HK-MOD-001")
            assert "rerank" in error["message"] or "ranker" in error["message"]


def test_a_model_that_one_may_not_use_is_none(box: TestBox) -> None:
    bound = box.services.gateway.acting_for("mallory", lambda model: model != "ranker")
    with pytest.raises(ModelNotFoundError):
        bound.rerank("ranker", QUERY, DOCUMENTS)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer hako_wrong"}, {"X-Api-Key": "hako_wrong"}])
def test_without_a_key_nothing_is_scored(box: TestBox, path: str, headers: dict[str, str]) -> None:
    body = {"model": "ranker", "query": QUERY, "documents": DOCUMENTS}
    answer = box.app.test_client().post(path, json=body, headers=headers)
    assert answer.status_code == 401
    assert answer.get_json().keys() & {"error", "message"}
    assert "results" not in answer.get_json()


@pytest.mark.parametrize("path", PATHS)
def test_another_site_can_ask_nothing_in_bobs_name(bob: Person, path: str) -> None:
    body = {"query": QUERY, "documents": DOCUMENTS}
    assert bob.post("/" + path, json=body, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403


def test_a_large_body_is_taken_from_who_is_known_only(bob: Person, box: TestBox) -> None:
    documents = ["word " * 5000] * 5
    for path in PATHS:
        assert ask(bob, path, documents=documents).status_code == 200
        stranger = box.app.test_client().post(path, json={"query": QUERY, "documents": documents})
        assert stranger.status_code == 401
    assert ask(bob, "/rerank", documents=["x" * 150_000] * 8).status_code == 413


def test_a_client_that_leaves_frees_the_reranker(bob: Person, box: TestBox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as door, socket.create_connection(door.getsockname()) as theirs:
        ours, _ = door.accept()
        theirs.close()
        body = {"model": "ranker", "query": "[[delay 500]] slow", "documents": ["x"] * 1000}
        with ours:
            answer = bob.post("//v1/rerank", json=body, environ_overrides={"gunicorn.socket": ours})
    assert answer.get_json()["error"]["hako_code"] == "HK-RUN-001"
    client = InferenceClient(box.settings.inference_socket)
    assert eventually(lambda: client.status().get("ranker", {"busy": 0})["busy"] == 0)
    assert ask(bob).status_code == 200


def test_the_lists_tell_a_rerankers_kind(bob: Person) -> None:
    listed = {model["id"]: model for model in bob.get("//v1/models").get_json()["data"]}
    assert listed["ranker"]["kind"] == "reranker"
    assert {model["id"]: model["kind"] for model in bob.get("/models").get_json()["items"]}["ranker"] == "reranker"
    ollama = {model["name"]: model for model in bob.get("//api/tags").get_json()["models"]}
    assert ollama["ranker:latest"]["capabilities"] == []
    anthropic = bob.get("//v1/models", headers={"anthropic-version": "2023-06-01"}).get_json()["data"]
    assert "ranker" not in {model["id"] for model in anthropic}


def test_a_search_is_put_in_order_by_the_models_process_and_goes_on_without_it(
    box: TestBox, bob: Person, handbook: dict[str, str]
) -> None:
    services = box.services
    who = Principal(bob.id, "bob", "member", "session", frozenset({Permission.BASES_READ}))
    bases = [services.bases.get(who, handbook["base"])]
    query = "payroll office allowance"

    def found() -> Retrieval:
        reranker = Reranker(services.gateway, lambda: "ranker", within_s=30)
        return Retriever(services.database, services.gateway, reranker).search(bases, query)

    ordered = found()
    assert ordered.reranker == Outcome("ranker")
    scores = [hit.reranked or 0.0 for hit in ordered.hits]
    assert scores == sorted(scores, reverse=True)
    assert "payroll office" in ordered.hits[0].text
    services.gateway.unload("ranker")
    with without_reranker(box):
        plain = found()
    assert plain.reranker == Outcome("ranker", ModelNotFoundError.code)
    assert plain.hits == services.retriever.search(bases, query).hits


def test_a_box_without_one_says_so_in_a_search(bob: Person, handbook: dict[str, str]) -> None:
    answer = bob.post("/search", json={"query": "payroll", "base_ids": [handbook["base"]]}).get_json()
    assert answer["reranker"] is None
    assert {hit["reranked"] for hit in answer["hits"]} == {None}
