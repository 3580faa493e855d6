"""Ollama's lists of models, what is told of one, and the clear no to everything that would fetch or make one."""

import hashlib
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from flask import Blueprint

from appliance import __version__, clock
from appliance.accounts.permissions import Permission
from appliance.errors import BadInputError, ModelsByUsbError, NotFoundError
from appliance.gateway.gateway import ModelInfo
from appliance.knowledge.bases import Base
from webui import routing, shapes
from webui.dialects import base_run, ollama_names
from webui.routing import Call

api = Blueprint("models", __name__)

_SPOKEN: Final = "0.12.11"
"""The release of Ollama whose API this is: clients ask for at least this or that one."""
_STARTED: Final = clock.iso(clock.now())
"""Clients want a time here; when a model was made says nothing on this box."""
_NEVER: Final = "2318-01-01T00:00:00Z"
"""When a loaded model leaves: as Ollama writes for one that stays."""
_FORMATS: Final = {"llama": "gguf"}
_REMOTE: Final = "remote"
"""Engine of other machines' models, which are in no memory of this one."""


class ModelBody(shapes.Tolerant):
    """A request about one model; old clients say `name`."""

    any_content_type: ClassVar[bool] = True

    model: shapes.ModelId | None = None
    name: shapes.ModelId | None = None

    @property
    def wanted(self) -> str:
        """The name as it was sent.

        Raises:
            BadInputError: none was given.
        """
        named = self.model or self.name
        if named is None:
            raise BadInputError("no model", field="model")
        return named


@routing.route(api, "GET", "/version", permission=Permission.CHAT)
def version(call: Call) -> dict[str, Any]:  # noqa: ARG001 - every view that knows its person is given it
    return {"version": f"{_SPOKEN}+hako.{__version__}"}


@routing.route(api, "GET", "/tags", permission=Permission.CHAT)
def tags(call: Call) -> dict[str, Any]:
    models = [_of_model(model, name) for model in call.gateway.models() for name in (model.id, *model.aliases)]
    return {"models": models + [_of_base(base) for base in call.services.bases.readable(call.who)]}


@routing.route(api, "GET", "/ps", permission=Permission.CHAT)
def loaded(call: Call) -> dict[str, Any]:
    states = call.services.models.running()
    return {
        "models": [
            {
                **_of_model(model),
                "size": model.memory_bytes or 0,
                "size_vram": 0 if model.provider in (None, "cpu") else model.memory_bytes or 0,
                "context_length": model.context,
                "expires_at": _leaves(states.get(model.id, {})),
            }
            for model in call.gateway.models()
            if model.state == "loaded" and model.engine != _REMOTE
        ]
    }


def _leaves(now: Mapping[str, Any]) -> str:
    """When a loaded model leaves if nobody asks it anything."""
    limit = now.get("idle_limit_s")
    return _NEVER if limit is None else clock.iso(clock.now() + limit - (now.get("idle_s") or 0))


@routing.route(api, "POST", "/show", permission=Permission.CHAT, body=ModelBody)
def show(call: Call, body: ModelBody) -> dict[str, Any]:
    wanted = ollama_names.found(call, body.wanted)
    if base_run.is_base(wanted):
        entry = _of_base(base_run.find(call, wanted))
        told = _told(entry, "", "", "", {"general.architecture": "documents", "general.basename": entry["name"]})
        return {**told, "capabilities": ["completion"]}
    template = call.gateway.template(wanted)
    model = call.gateway.model(wanted)
    family = model.architecture
    about: dict[str, Any] = {
        "general.architecture": family,
        "general.basename": model.name,
        "general.languages": list(model.languages),
        "general.parameter_count": model.parameters,
        f"{family}.context_length": model.context,
    }
    if model.dimensions is not None:
        about[f"{family}.embedding_length"] = model.dimensions
    told = _told(_of_model(model), model.licence, f"num_ctx {model.context}", template, about)
    return {**told, "capabilities": _capabilities(model)}


@routing.route(api, "POST", "/pull", permission=Permission.CHAT, body=ModelBody)
def pull(call: Call, body: ModelBody) -> dict[str, Any]:
    """A model that is here needs no fetching: programs that pull before they ask go on."""
    wanted = ollama_names.found(call, body.wanted)
    if base_run.is_base(wanted):
        base_run.find(call, wanted)
    elif call.gateway.aliases.resolve(wanted) not in {model.id for model in call.gateway.models()}:
        raise ModelsByUsbError
    return {"status": "success"}


def refuse(call: Call) -> None:  # noqa: ARG001
    """Raises ModelsByUsbError: nothing comes to this box or leaves it by this way."""
    raise ModelsByUsbError


def blob(call: Call, digest: str) -> None:  # noqa: ARG001
    """Raises NotFoundError: there are no layers of models to look at or to send."""
    raise NotFoundError


for _path in ("/push", "/create"):
    routing.route(api, "POST", _path, permission=Permission.CHAT)(refuse)
for _method in ("GET", "POST"):
    routing.route(api, _method, "/blobs/<path:digest>", permission=Permission.CHAT)(blob)


def _of_model(model: ModelInfo, called: str = "") -> dict[str, Any]:
    """A model under its id or one of its other names."""
    name = ollama_names.tagged(called or model.id)
    return {
        "name": name,
        "model": name,
        "modified_at": _STARTED,
        "size": model.size_bytes,
        "digest": model.sha256 or hashlib.sha256(model.id.encode()).hexdigest(),  # clients want 64 digits
        "details": {
            "parent_model": "",
            "format": _FORMATS.get(model.engine, model.engine),
            "family": model.architecture,
            "families": [model.architecture, *(["clip"] if model.vision else [])],  # older clients look here
            "parameter_size": _size(model.parameters),
            "quantization_level": model.quantization,
        },
        "capabilities": _capabilities(model),
    }


def _of_base(base: Base) -> dict[str, Any]:
    name = base_run.BASE_PREFIX + base.name
    return {
        "name": name,
        "model": name,
        "modified_at": _STARTED,
        "size": 0,
        "digest": hashlib.sha256(base.id.encode()).hexdigest(),
        "details": {
            "parent_model": "",
            "format": "documents",
            "family": "documents",
            "families": ["documents"],
            "parameter_size": "",
            "quantization_level": "",
        },
        "capabilities": ["completion"],
    }


def _told(entry: dict[str, Any], licence: str, parameters: str, template: str, about: dict[str, Any]) -> dict[str, Any]:
    return {
        "license": licence,
        "modelfile": f"FROM {entry['name']}\n",
        "parameters": parameters,
        "template": template,
        "details": entry["details"],
        "model_info": about,
        "modified_at": entry["modified_at"],
    }


def _capabilities(model: ModelInfo) -> list[str]:
    """What it can do, in Ollama's words; clients trust what is said here."""
    if model.kind == "embedding":
        return ["embedding"]
    if model.kind == "reranker":
        return []  # Ollama has no word for it
    return ["completion"] + ["tools"] * model.tools + ["vision"] * model.vision + ["thinking"] * model.thinking


def _size(parameters: int) -> str:
    """As Ollama writes it: 134.52M, 7.62B."""
    for unit, letter in ((1e9, "B"), (1e6, "M"), (1e3, "K")):
        if parameters >= unit:
            return f"{parameters / unit:.2f}{letter}"
    return str(parameters or "")
