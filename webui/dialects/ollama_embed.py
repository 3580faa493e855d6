"""`/api/embed` and its predecessor `/api/embeddings`: vectors of texts as they come."""

from typing import Annotated, Any, ClassVar

import numpy as np
from flask import Blueprint, request
from pydantic import Field

from appliance import clock
from appliance.accounts.permissions import Permission
from appliance.errors import BadInputError
from appliance.gateway.gateway import Vectors
from webui import connection, routing, shapes
from webui.dialects import ollama_names, staying
from webui.routing import Call

api = Blueprint("embed", __name__)

_NS = 1_000_000_000


class EmbedBody(shapes.Tolerant):
    """A text or several; one that is too long is cut, unless `truncate` is off."""

    any_content_type: ClassVar[bool] = True

    model: shapes.ModelId
    input: shapes.Text | Annotated[list[shapes.Text], Field(max_length=2048)]
    truncate: bool | None = None
    keep_alive: float | str | None = None
    dimensions: Annotated[int, Field(ge=0)] | None = None


class EmbeddingsBody(shapes.Tolerant):
    """One text."""

    any_content_type: ClassVar[bool] = True

    model: shapes.ModelId
    prompt: shapes.Text = ""


@routing.route(api, "POST", "/embed", permission=Permission.CHAT, body=EmbedBody)
def embed(call: Call, body: EmbedBody) -> dict[str, Any]:
    began = clock.monotonic()
    texts = body.input if isinstance(body.input, list) else [body.input] if body.input else []
    model = ollama_names.found(call, body.model)
    with routing.place(call):
        vectors, tokens = call.gateway.embed_raw(
            model,
            texts,
            truncate=body.truncate is not False,
            stopped=connection.watcher(request.environ),
        )
    staying.follow(call, model, body.keep_alive)
    if body.dimensions not in (None, 0, vectors.shape[1]):
        raise BadInputError("dimensions", field="dimensions")
    return {
        "model": body.model,
        "embeddings": _of_length_one(vectors).tolist(),
        "total_duration": int((clock.monotonic() - began) * _NS),
        "load_duration": 0,
        "prompt_eval_count": tokens,
    }


@routing.route(api, "POST", "/embeddings", permission=Permission.CHAT, body=EmbeddingsBody)
def embeddings(call: Call, body: EmbeddingsBody) -> dict[str, Any]:
    with routing.place(call):
        vectors, _tokens = call.gateway.embed_raw(
            ollama_names.found(call, body.model),
            [body.prompt] if body.prompt else [],
            truncate=True,
            stopped=connection.watcher(request.environ),
        )
    return {"embedding": vectors[0].tolist() if len(vectors) else []}


def _of_length_one(vectors: Vectors) -> Vectors:
    """As Ollama gives them; the box's own are already, those of other machines' models may not be."""
    if not len(vectors):
        return vectors
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    is_fine = (lengths == 0) | np.isclose(lengths, 1, atol=1e-3)
    scaled: Vectors = (vectors / np.where(is_fine, 1, lengths)).astype(np.float32)
    return scaled
