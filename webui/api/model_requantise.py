"""`/models/<id>/requantise`: a smaller model out of one that is there, and what that changes on this box."""

from collections.abc import Callable, Generator, Iterator
from dataclasses import asdict, replace
from typing import Annotated, Any, Final

from flask import Blueprint, Response, request
from pydantic import StringConstraints

from appliance.accounts.permissions import Permission
from appliance.clock import monotonic
from appliance.errors import HakoError
from appliance.gateway.figures import Figures, change
from appliance.inference.load_settings import LoadSettings
from appliance.inference.requantise import Requantising
from webui import connection, routing, shapes, sse
from webui.api.model_bench import patiently
from webui.api.models import describe_estimate
from webui.api.runs import described
from webui.routing import Call

api = Blueprint("model_requantise", __name__)

_TELL_S = 0.2
_UNMEASURED: Final = {"before": None, "after": None, "change": None, "not_measured": None}


class Requantise(shapes.Shape):
    """What the new model is stored as, and whether both are measured then."""

    to: Annotated[str, StringConstraints(min_length=1, max_length=20)]
    measure: bool = True


class Trial(shapes.Shape):
    """With `dry=1` nothing is made: only what it would come to is wanted."""

    dry: bool = False


@routing.route(
    api,
    "POST",
    "/models/<model_id>/requantise",
    permission=Permission.MODELS_MANAGE,
    body=Requantise,
    query=Trial,
)
def requantise(call: Call, body: Requantise, trial: Trial, model_id: str) -> Response:
    """Whole, or with `Accept: text/event-stream` with its progress. Who leaves before the end cancels it."""
    if trial.dry:
        return routing.answer(_planned(call, body.to, model_id))
    left = connection.watcher(request.environ)
    place = routing.place(call)
    try:
        making = call.services.models.requantise(model_id, body.to)
    except BaseException:
        place.close()
        raise
    events = _steps(call, making, left, measure=body.measure)
    if "text/event-stream" in request.headers.get("Accept", ""):
        return sse.response(sse.frames(_told(call, events), left), making.close, place.close)
    with place, making:
        *_, last = (event for event in events if event is not None)
        return routing.answer(dict(last.data), 201)


def of_import(
    call: Call, model: str, to: str, left: Callable[[], bool]
) -> Generator[sse.Event | None, None, dict[str, Any]]:
    """A smaller model out of one that was just brought, its events inside of `smaller` ones.

    Returns what was made, or why nothing was: the import stands either way.
    """
    made, failed = None, None
    try:
        with call.services.models.requantise(model, to) as making:
            for event in _steps(call, making, left):
                if event is not None and event.kind in ("made", "done"):
                    made = {**_UNMEASURED, **event.data}
                yield event and sse.Event("smaller", {"kind": event.kind, "data": event.data})
    except HakoError as error:
        failed = described(error, call.language)
    return {"smaller": made, "not_smaller": failed}


def _planned(call: Call, to: str, model_id: str) -> dict[str, Any]:
    """The size that the new file would have to the byte, and its memory; refused as the making itself would be."""
    with routing.place(call), call.services.models.requantise(model_id, to, plan=True) as making:
        expected = call.services.models.estimate(making.original, 0, LoadSettings())
        return {
            **_plan(making),
            "estimate": None if expected is None else describe_estimate(replace(expected, weights=making.size)),
        }


def _plan(making: Requantising) -> dict[str, Any]:
    return {"model": making.name, "size_bytes": making.size, "original_size_bytes": making.original.size}


def _told(call: Call, events: Iterator[sse.Event | None]) -> Iterator[sse.Event | None]:
    try:
        yield from events
    except HakoError as error:
        yield sse.Event("error", described(error, call.language))


def _steps(
    call: Call, making: Requantising, left: Callable[[], bool], *, measure: bool = True
) -> Iterator[sse.Event | None]:
    """All that happens, `done` last."""
    yield sse.Event("plan", _plan(making))
    due, told = 0.0, ""
    for stage, done, total in making.run():
        now = monotonic()
        if now >= due or stage != told:
            due, told = now + _TELL_S, stage
            yield sse.Event("progress", {"stage": stage, "done": done, "total": total})
        else:
            yield None
    made = _recorded(call, making)
    yield sse.Event("made", made)
    result: dict[str, Any] = {**made, **_UNMEASURED}
    if measure:
        try:
            result |= yield from _compared(call, (making.original.id, made["model"]), left)
        except HakoError as error:  # the model is there all the same
            result["not_measured"] = described(error, call.language)
    yield sse.Event("done", result)


def _compared(
    call: Call, models: tuple[str, str], left: Callable[[], bool]
) -> Generator[sse.Event | None, None, dict[str, Any]]:
    """Both are measured one after the other, in the state that the box is in now."""
    figures: list[Figures] = []
    for model in models:
        for step in patiently(call.services.benchmark.measure(model, left)):
            if isinstance(step, Figures):
                call.services.audit.record(call.who.name, "model-measured", model)
                figures.append(step)
            else:
                yield step and sse.Event("stage", {"model": model, "stage": step})
    before, after = figures
    faster = change(before, after)
    return {"before": asdict(before), "after": asdict(after), "change": asdict(faster) if faster else None}


def _recorded(call: Call, making: Requantising) -> dict[str, Any]:
    imported = making.finish()
    manifest, original = imported.manifest, making.original
    if imported.is_new:
        digest = manifest.files[manifest.entry].sha256
        call.services.audit.record(
            call.who.name,
            "model-requantised",
            manifest.id,
            sha256=digest,
            original=original.id,
            to=manifest.quantization,
        )
    return {
        "model": manifest.id,
        "name": manifest.name,
        "quantization": manifest.quantization,
        "size_bytes": manifest.size,
        "original": original.id,
        "original_quantization": original.quantization,
        "original_size_bytes": original.size,
    }
