"""`/search`: the passages that a question would be answered from, with their scores."""

from collections.abc import Sequence
from typing import Annotated, Any

from flask import Blueprint, request
from pydantic import Field

from appliance.accounts.permissions import Permission
from appliance.apps.conversations import demand_readable, readable
from appliance.knowledge.bases import Base
from appliance.knowledge.retrieve import SearchOptions
from webui import connection, routing, shapes
from webui.routing import Call

api = Blueprint("search", __name__)


class Search(shapes.Shape):
    """`lexical_weight` is the share of the words; the rest is the share of the meaning."""

    query: shapes.Query
    k: Annotated[int, Field(ge=1, le=50)] = 10
    lexical_weight: Annotated[float, Field(ge=0, le=1)] | None = None


class SearchAll(Search):
    """All readable bases are searched when none is named."""

    base_ids: tuple[shapes.Identifier, ...] | None = None


@routing.route(api, "POST", "/bases/<base_id>/search", permission=Permission.BASES_READ, body=Search)
def search(call: Call, wish: Search, base_id: str) -> dict[str, Any]:
    return _found(call, wish, [call.services.bases.get(call.who, base_id)])


@routing.route(api, "POST", "/search", permission=Permission.BASES_READ, body=SearchAll)
def search_all(call: Call, wish: SearchAll) -> dict[str, Any]:
    return _found(call, wish, wanted_bases(call, wish.base_ids))


def wanted_bases(call: Call, wanted: Sequence[str] | None) -> list[Base]:
    """The bases that a request names, all readable ones for None.

    Raises:
        NotFoundError: one of them is not there for this person.
    """
    bases = call.services.bases
    return readable(bases, call.who) if wanted is None else demand_readable(bases, call.who, wanted)


def _found(call: Call, wish: Search, bases: Sequence[Base]) -> dict[str, Any]:
    weight = SearchOptions.lexical_weight if wish.lexical_weight is None else wish.lexical_weight
    options = SearchOptions(k=wish.k, lexical_weight=weight)
    with routing.place(call):  # the query may have to wait for its turn at the embedding model
        left = connection.watcher(request.environ)
        turn = call.services.gateway.in_turn_of(call.asker, call.client)
        found = call.services.retriever.asking(turn).search(bases, wish.query, options, left)
    return {
        "hits": [hit.as_dict() for hit in found.hits],
        "verdict": found.verdict,
        "probability": found.probability,
        "signals": found.signals,
        "elapsed_ms": found.elapsed_ms,
        "reranker": found.reranker and {"model": found.reranker.model, "failure": found.reranker.failure or None},
    }
