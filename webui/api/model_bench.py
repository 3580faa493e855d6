"""`/models/<id>/bench` and `/models/bench`: what models do on this box, as measured, and how many people it serves."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import asdict
from typing import Any

from flask import Blueprint, Response, request

from appliance.accounts.permissions import Permission
from appliance.errors import HakoError
from appliance.gateway.figures import Figures, Known, Stage
from webui import connection, routing, sse
from webui.api.runs import described
from webui.routing import Call

api = Blueprint("model_bench", __name__)

_TELL_S = 1.0


@routing.route(api, "GET", "/models/bench", permission=Permission.MODELS_MANAGE)
def overview(call: Call) -> dict[str, Any]:
    """All models of the box that can be measured, each with what was measured last, or nulls."""
    known = call.services.benchmark.all_known()
    return {
        "items": [
            {"id": model.id, "name": model.name, "kind": model.kind, **_described(figures)} for model, figures in known
        ]
    }


@routing.route(api, "GET", "/models/<model_id>/bench", permission=Permission.MODELS_MANAGE)
def show(call: Call, model_id: str) -> dict[str, Any]:
    """What was measured last, or nulls."""
    return _described(call.services.benchmark.known(model_id))


@routing.route(api, "POST", "/models/<model_id>/bench", permission=Permission.MODELS_MANAGE)
def measure(call: Call, model_id: str) -> Response:
    """Whole, or with `Accept: text/event-stream` stage by stage. Who leaves in the middle stops it."""
    left = connection.watcher(request.environ)
    place = routing.place(call)
    try:
        call.services.gateway.model(model_id)
        steps = call.services.benchmark.measure(model_id, left)
        if "text/event-stream" in request.headers.get("Accept", ""):
            return sse.response(sse.frames(_told(call, model_id, steps), left), place.close)
        with place:
            figures = next(step for step in steps if isinstance(step, Figures))
            return routing.answer(_done(call, model_id, figures))
    except BaseException:
        place.close()
        raise


def _told(call: Call, model_id: str, steps: Iterator[Stage | Figures]) -> Iterator[sse.Event | None]:
    try:
        for step in patiently(steps):
            if isinstance(step, Figures):
                yield sse.Event("done", _done(call, model_id, step))
            else:
                yield step and sse.Event("stage", {"stage": step})
    except HakoError as error:
        yield sse.Event("error", described(error, call.language))


def patiently(steps: Iterator[Stage | Figures]) -> Iterator[Stage | Figures | None]:
    """The steps, and None now and then while one takes long, so that whoever waits sees that the box is alive."""
    with ThreadPoolExecutor(1) as pool:
        while True:
            step = pool.submit(next, steps, None)
            while not wait([step], _TELL_S).done:
                yield None
            if (found := step.result()) is None:
                return
            yield found


def _done(call: Call, model_id: str, figures: Figures) -> dict[str, Any]:
    call.services.audit.record(call.who.name, "model-measured", model_id)
    return _described(Known(figures))


def _described(known: Known) -> dict[str, Any]:
    means = known.capacity
    return {
        "figures": asdict(known.figures) if known.figures else None,
        "capacity": asdict(means) if means else None,
        "stale": known.is_stale,
        "guesses": known.guesses,
    }
