"""`/metrics`: how the box is and what it does, as Prometheus reads it; no names of people, bases, documents or keys."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, TypeVar, get_args

from flask import Blueprint, Flask, Response, request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from appliance import __version__, clock
from appliance.accounts.permissions import Permission
from appliance.errors import InferenceUnreachableError
from appliance.gateway.pace import PACE
from appliance.health.airgap import sandboxes
from appliance.health.finding import State
from appliance.health.health import is_snoozed
from appliance.inference.client import InferenceClient
from appliance.machine import resources
from appliance.services import Services
from webui import key_limits, routing
from webui.box import Box
from webui.routing import Call

PATH: Final = "/metrics"
api = Blueprint("metrics", __name__)

K = TypeVar("K", bound=tuple[str, ...])

_PAGES: Final = "pages"
_FRESH_S: Final = 2 * 3600.0
"""A measure that nobody has noted for so long is no longer told."""


def install(app: Flask, box: Box) -> None:
    """Count every answer of an application by the dialect of its path and the class of its status."""

    def count(response: Response) -> Response:
        box.answered.labels(_dialect(request.path), f"{response.status_code // 100}xx").inc()
        return response

    app.after_request(count)


def _dialect(path: str) -> str:
    """One word for the dialects that a path belongs to; `pages` for those that no program has a use for."""
    return min(key_limits.dialects_of(path, key_limits.table()), default=_PAGES)


@routing.route(api, "GET", PATH, permission=Permission.METRICS_READ)
def show(call: Call) -> Response:
    """Everything, now."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(routing.box(), call.services))
    registry.register(routing.box().answered)
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


class _Collector:
    """Asks the box when it is read, and keeps nothing."""

    def __init__(self, box: Box, services: Services) -> None:
        self._box, self._services = box, services

    def collect(self) -> Iterator[Metric]:
        """Each family, in a fixed order."""
        yield _gauge("hako_info", "The release that runs.", {(__version__,): 1}, "version")
        yield _gauge("hako_started_seconds", "When the web process began, since the epoch.", {(): self._box.began_at})
        yield from self._health()
        yield from self._models()
        yield CounterMetricFamily("hako_tokens_written", "Tokens passed on as streams.", PACE.total)
        waiting, _oldest = self._services.queue.waiting()
        yield _gauge("hako_jobs_waiting", "Work that nobody has begun.", {(): waiting})
        yield CounterMetricFamily("hako_remote_calls", "What was sent to named destinations.", self._services.sent())
        yield from _memory()

    def _health(self) -> Iterator[Metric]:
        now, at = self._services.health.now(), clock.now()
        states = {
            (name, seen.group, state): float(seen.look.state == state)
            for name, seen in now.looks.items()
            for state in get_args(State)
        }
        yield _gauge(
            "hako_check_state", "The state of each check: 1 for the one it has.", states, "check", "group", "state"
        )
        counts = {(state,): 0.0 for state in ("warning", "error", "put_off")}
        for found in now.findings:
            counts["put_off" if is_snoozed(found, at) else found.finding.state,] += 1
        yield _gauge("hako_findings", "What isn't as it should be.", counts, "state")
        if now.checked_at is not None:
            yield _gauge(
                "hako_checked_seconds", "When anything was looked at last, since the epoch.", {(): now.checked_at}
            )
        measures = self._services.health.store.latest(at - _FRESH_S)
        yield _gauge(
            "hako_measure", "The newest value of each measure.", {(k,): v for k, v in measures.items()}, "name"
        )

    def _models(self) -> Iterator[Metric]:
        try:
            told = InferenceClient(self._services.settings.inference_socket).status()
        except InferenceUnreachableError:
            yield _gauge("hako_inference_up", "Whether the process that runs the models answers.", {(): 0})
            return
        yield _gauge("hako_inference_up", "Whether the process that runs the models answers.", {(): 1})
        loaded = {(model,): float(now["state"] == "loaded") for model, now in told.items()}
        yield _gauge("hako_model_loaded", "Whether a model is loaded.", loaded, "model")
        busy = {(model,): float(now["busy"]) for model, now in told.items()}
        yield _gauge("hako_model_running", "Answers that a model writes now.", busy, "model")
        queue = {(model,): float(now["waiting"]) for model, now in told.items()}
        yield _gauge("hako_model_waiting", "Answers that wait for a model.", queue, "model")


def _memory() -> Iterator[Metric]:
    """Of the machine, and of the box's processes as far as this one may see them; itself in any case."""
    yield _gauge("hako_memory_total_bytes", "Memory that the box may use.", {(): resources.total()})
    yield _gauge("hako_memory_available_bytes", "Memory that can still be taken.", {(): resources.available()})
    sizes: dict[tuple[str, ...], float] = {}
    for process in sandboxes.seen(Path("/proc"), is_closed=False).processes:
        sizes[process.name,] = sizes.get((process.name,), 0) + resources.rss(process.pid)
    sizes.setdefault(("web",), resources.rss(os.getpid()))
    yield _gauge("hako_process_memory_bytes", "Resident memory of processes of the box.", sizes, "process")


def _gauge(name: str, about: str, values: Mapping[K, float], *labels: str) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, about, labels=labels)
    for words, value in sorted(values.items()):
        family.add_metric(words, value)
    return family
