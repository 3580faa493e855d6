"""Ollama's copy and delete: another name for a model, and an end of a name or of a model, for who may do that here."""

from typing import Any, ClassVar

from flask import Blueprint

from appliance.accounts.permissions import Permission
from appliance.errors import BadInputError, KeyScopeError, ModelNotFoundError
from webui import routing, shapes
from webui.dialects import base_run, ollama_names
from webui.dialects.ollama_models import ModelBody
from webui.routing import Call

api = Blueprint("manage", __name__)


class CopyBody(shapes.Tolerant):
    """Which model, and the name that it gets beside its own."""

    any_content_type: ClassVar[bool] = True

    source: shapes.ModelId
    destination: shapes.ModelId


@routing.route(api, "POST", "/copy", permission=Permission.MODELS_ALIAS, body=CopyBody)
def copy(call: Call, body: CopyBody) -> dict[str, Any]:
    """No file is copied: the new name is an alias, as on the model's page."""
    source, name = ollama_names.found(call, body.source), ollama_names.found(call, body.destination, by_all=True)
    if base_run.is_base(source):
        base_run.find(call, source)
        raise BadInputError("a base has one name", field="source")
    model = call.gateway.model(source)
    _demand_own(call, name)
    try:
        call.services.gateway.aliases.put(name, model.id)
    except BadInputError as error:
        raise BadInputError(error.detail, field="destination") from None
    call.services.audit.record(call.who.name, "model-alias-set", name, model=model.id)
    return {}


@routing.route(api, "DELETE", "/delete", permission=Permission.MODELS_ALIAS, body=ModelBody)
def delete(call: Call, body: ModelBody) -> dict[str, Any]:
    """A name goes, or the model itself with all its names."""
    name = ollama_names.found(call, body.wanted)
    if base_run.is_base(name):
        base_run.find(call, name)
        raise BadInputError("bases are deleted on their page", field="model")
    aliases = call.services.gateway.aliases
    target = aliases.resolve(name)
    if not call.who.may_use_model(target):
        raise ModelNotFoundError(name=name[:100])
    if target != name:
        aliases.delete(name)
        call.services.audit.record(call.who.name, "model-alias-deleted", name)
        return {}
    call.who.demand(Permission.MODELS_REMOVE)
    call.services.models.remove(name)
    call.services.audit.record(call.who.name, "model-removed", name)
    return {}


def _demand_own(call: Call, name: str) -> None:
    """A name may be moved by who may use the model that has it now.

    Raises:
        KeyScopeError: it stands for a model outside of the key's scope.
    """
    target = call.services.gateway.aliases.all().get(name)
    if target is not None and not call.who.may_use_model(target):
        raise KeyScopeError("another model's alias")
