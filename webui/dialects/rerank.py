"""Reranking as Jina's, Cohere's and llama.cpp's clients ask for it, and as those of text-embeddings-inference do.

One body for all: `documents` ask for Jina's and Cohere's answer, `texts` for the other's, a bare list.
"""

import secrets
from http import HTTPStatus
from typing import Annotated, Any, Final

from flask import Blueprint, Response, g, has_request_context, request
from pydantic import Field, model_validator

from appliance.accounts.permissions import Permission
from appliance.errors import BadInputError, HakoError, ModelNotFoundError
from webui import connection, errors, locales, routing, shapes
from webui.locales import Language
from webui.routing import Call

PATHS: Final = ("/rerank", "/reranking")
COHERE_PREFIX: Final = "/v2"

api = Blueprint("rerank", __name__)
"""Below `/v1` and at the root: bases of addresses end with or without it."""
cohere = Blueprint("rerank_v2", __name__, url_prefix=COHERE_PREFIX)

_MOST: Final = 1000
_KIND: Final = "reranker"
_ASKED_WITH_TEXTS: Final = "asked_with_texts"
_BUSY: Final = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)


class Document(shapes.Tolerant):
    """A document as an object; only its text is read."""

    text: shapes.Text


class RerankBody(shapes.Tolerant):
    """Either `documents` or `texts`; indices in the answer are places in that list."""

    model: shapes.ModelId | None = None
    query: shapes.Question
    documents: Annotated[list[shapes.Text | Document], Field(min_length=1, max_length=_MOST)] | None = None
    top_n: Annotated[int, Field(ge=1)] | None = None
    return_documents: bool | None = None
    texts: Annotated[list[shapes.Text], Field(min_length=1, max_length=_MOST)] | None = None
    raw_scores: bool | None = None
    return_text: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _note_whose(cls, given: Any) -> Any:
        """An error has to be told in the words of the dialect, also where the body is no good."""
        if has_request_context() and isinstance(given, dict):
            setattr(g, _ASKED_WITH_TEXTS, "texts" in given and "documents" not in given)
        return given


def rerank(call: Call, body: RerankBody) -> dict[str, Any] | list[dict[str, Any]]:
    """The best first."""
    if (body.documents is None) == (body.texts is None):
        raise BadInputError("either documents or texts", field="documents")
    texts = body.texts or [_text(document) for document in body.documents or ()]
    model = body.model or _only_reranker(call)
    with routing.place(call):
        scores, tokens = call.gateway.rerank(
            model, body.query, texts, raw=bool(body.raw_scores), stopped=connection.watcher(request.environ)
        )
    best = sorted(range(len(texts)), key=lambda index: -scores[index])[: body.top_n]
    if body.texts is not None:
        return [
            {"index": index, "score": scores[index], **({"text": texts[index]} if body.return_text else {})}
            for index in best
        ]
    results: list[dict[str, Any]] = [{"index": index, "relevance_score": scores[index]} for index in best]
    if body.return_documents:
        results = [{**result, "document": {"text": texts[result["index"]]}} for result in results]
    return {
        "id": f"rerank-{secrets.token_hex(12)}",
        "object": "list",
        "model": model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        "results": results,
        "meta": {"tokens": {"input_tokens": tokens}},
    }


for _blueprint, _paths in ((api, PATHS), (cohere, PATHS[:1])):
    for _path in _paths:
        routing.route(_blueprint, "POST", _path, permission=Permission.CHAT, body=RerankBody)(rerank)


def cohere_error(error: HakoError, status: int, language: Language) -> Response:
    """An error as Cohere's clients read it: one sentence under `message`."""
    content = {"message": f"{locales.sentence(error, language)} ({error.code})", "hako_code": error.code}
    return errors.as_json(content, status)


def error_shape(error: HakoError, status: int, language: Language) -> Response:
    """As clients of text-embeddings-inference read it where the request was theirs, else as OpenAI's do."""
    if not g.get(_ASKED_WITH_TEXTS):
        return errors.openai(error, status, language)
    kind = "Overloaded" if status in _BUSY else "Validation" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "Backend"
    said = f"{locales.sentence(error, language)} ({error.code})"
    return errors.as_json({"error": said, "error_type": kind, "hako_code": error.code}, status)


def _only_reranker(call: Call) -> str:
    """The model for a request that names none.

    Raises:
        ModelNotFoundError: there is no reranker.
        BadInputError: there are several.
    """
    found = [model.id for model in call.gateway.models() if model.kind == _KIND]
    if not found:
        raise ModelNotFoundError(name=_KIND)
    if len(found) > 1:
        raise BadInputError("several rerankers", field="model")
    return found[0]


def _text(document: str | Document) -> str:
    return document if isinstance(document, str) else document.text
