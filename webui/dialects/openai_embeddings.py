"""`/v1/embeddings`: vectors of texts as they come; a model of the E5 family wants "query: " or "passage: " in front."""

import base64
from typing import Annotated, Any, Literal

from flask import Blueprint, request
from pydantic import Field

from appliance.accounts.permissions import Permission
from appliance.errors import BadInputError, TokenNumbersError
from webui import connection, routing, shapes
from webui.routing import Call

api = Blueprint("embeddings", __name__)

Input = Annotated[str, Field(min_length=1, max_length=200_000)]
Numbers = Annotated[list[int] | list[list[int]], Field(min_length=1)]


class EmbeddingBody(shapes.Tolerant):
    """Numbers of tokens, which some clients send instead of text, are known only to refuse them by name."""

    model: shapes.ModelId
    input: Input | Annotated[list[Input], Field(min_length=1, max_length=2048)] | Numbers
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = None


@routing.route(api, "POST", "/embeddings", permission=Permission.CHAT, body=EmbeddingBody)
def embed(call: Call, body: EmbeddingBody) -> dict[str, Any]:
    return embedded(call, body)


def embedded(call: Call, body: EmbeddingBody) -> dict[str, Any]:
    """The vectors in OpenAI's shape.

    Raises:
        BadInputError: a length of vector that the model doesn't have.
        TokenNumbersError: numbers of tokens, which are another model's, instead of texts.
    """
    given = [body.input] if isinstance(body.input, str) else body.input
    texts = [text for text in given if isinstance(text, str)]
    if len(texts) < len(given):
        raise TokenNumbersError(field="input")
    left = connection.watcher(request.environ)
    with routing.place(call):
        vectors, tokens = call.gateway.embed_raw(body.model, texts, stopped=left)
    if body.dimensions not in (None, vectors.shape[1]):
        raise BadInputError("dimensions", field="dimensions")
    encoded = body.encoding_format == "base64"
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": base64.b64encode(row.astype("<f4").tobytes()).decode() if encoded else row.tolist(),
        }
        for index, row in enumerate(vectors)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "model": body.model, "data": data, "usage": usage}
