"""`/presets`: system prompts and sampling under a name, one's own and shared ones, as files to take along."""

import json
from typing import Annotated, Any, Final, Literal, Self

from flask import Blueprint, Response
from pydantic import Field, StringConstraints, model_validator

from appliance.accounts.permissions import Permission
from appliance.apps.presets import Preset
from appliance.clock import iso
from appliance.gateway import schemas
from webui import routing, shapes
from webui.api.documents import download
from webui.routing import Call

api = Blueprint("presets", __name__)

_NAME_CHARS: Final = 60
_LARGEST_INT: Final = 2**31 - 1

Penalty = Annotated[float, Field(ge=-2, le=2)]
Stop = Annotated[str, StringConstraints(min_length=1, max_length=200)]
TokenId = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,9}$")]
Bias = Annotated[float, Field(ge=-100, le=100)]
System = Annotated[shapes.Text, Field(max_length=20_000)]


class Sampling(shapes.Shape):
    """As in a chat request; what isn't given is the model's own choice. `json_schema` is what an answer follows."""

    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0, le=1000)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    repeat_penalty: Annotated[float, Field(ge=0.1, le=4)] | None = None
    typical_p: Annotated[float, Field(ge=0, le=1)] | None = None
    xtc_probability: Annotated[float, Field(ge=0, le=1)] | None = None
    xtc_threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    dry_multiplier: Annotated[float, Field(ge=0, le=10)] | None = None
    dry_base: Annotated[float, Field(ge=1, le=10)] | None = None
    dry_allowed_length: Annotated[int, Field(ge=1, le=1000)] | None = None
    mirostat: Annotated[int, Field(ge=0, le=2)] | None = None
    mirostat_tau: Annotated[float, Field(ge=0, le=20)] | None = None
    mirostat_eta: Annotated[float, Field(ge=0, le=1)] | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    seed: Annotated[int, Field(ge=0, lt=_LARGEST_INT)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=_LARGEST_INT)] | None = None
    stop: Annotated[tuple[Stop, ...], Field(max_length=16)] | None = None
    logit_bias: Annotated[dict[TokenId, Bias], Field(max_length=300)] | None = None
    json_schema: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _short(self) -> Self:
        if len(json.dumps(self.json_schema, ensure_ascii=False)) > schemas.LONGEST:
            raise ValueError("schema too long")
        return self

    def stored(self) -> dict[str, Any]:
        """Only what is given."""
        return self.model_dump(mode="json", exclude_none=True)


class NewPreset(shapes.Shape):
    """`shared`: for everybody; only operators make such ones."""

    name: shapes.Name
    system: System = ""
    sampling: Sampling = Sampling()
    shared: bool = False


class Change(shapes.Shape):
    """What isn't given stays; `sampling` is replaced as a whole."""

    name: shapes.Name | None = None
    system: System | None = None
    sampling: Sampling | None = None
    shared: bool | None = None


class PresetFile(shapes.Shape):
    """A preset outside of a box. A later format has another `version`, which this release then refuses."""

    format: Literal["hako-preset"]
    version: Literal[1]
    name: shapes.Name
    system: System = ""
    sampling: Sampling = Sampling()


@routing.route(api, "GET", "/presets", permission=Permission.CONVERSATIONS)
def list_presets(call: Call) -> dict[str, Any]:
    return {"items": [_describe(call, preset) for preset in call.services.presets.list(call.who)]}


@routing.route(api, "POST", "/presets", permission=Permission.CONVERSATIONS, body=NewPreset, status=201)
def create(call: Call, wish: NewPreset) -> dict[str, Any]:
    preset = call.services.presets.create(call.who, wish.name, wish.system, wish.sampling.stored(), shared=wish.shared)
    _note(call, "preset-created", preset)
    return _describe(call, preset)


@routing.route(api, "POST", "/presets/import", permission=Permission.CONVERSATIONS, body=PresetFile, status=201)
def take_in(call: Call, file: PresetFile) -> dict[str, Any]:
    """A file that was exported here or on another box becomes one's own preset."""
    return _describe(call, call.services.presets.create(call.who, file.name, file.system, file.sampling.stored()))


@routing.route(api, "GET", "/presets/<preset_id>", permission=Permission.CONVERSATIONS)
def show(call: Call, preset_id: str) -> dict[str, Any]:
    return _describe(call, call.services.presets.get(call.who, preset_id))


@routing.route(api, "PATCH", "/presets/<preset_id>", permission=Permission.CONVERSATIONS, body=Change)
def change(call: Call, wish: Change, preset_id: str) -> dict[str, Any]:
    old = call.services.presets.get(call.who, preset_id)
    preset = call.services.presets.update(
        call.who,
        preset_id,
        name=wish.name,
        system=wish.system,
        sampling=None if wish.sampling is None else wish.sampling.stored(),
        shared=wish.shared,
    )
    _note(call, "preset-changed", old if old.is_shared else preset)
    return _describe(call, preset)


@routing.route(api, "DELETE", "/presets/<preset_id>", permission=Permission.CONVERSATIONS)
def delete(call: Call, preset_id: str) -> None:
    _note(call, "preset-deleted", call.services.presets.delete(call.who, preset_id))


@routing.route(api, "GET", "/presets/<preset_id>/export", permission=Permission.CONVERSATIONS)
def export(call: Call, preset_id: str) -> Response:
    """The preset as a file that any box of this format takes in."""
    preset = call.services.presets.get(call.who, preset_id)
    name = "".join(sign for sign in preset.name if sign.isalnum() or sign in " -_")[:_NAME_CHARS].strip() or "preset"
    text = json.dumps(as_file(preset), ensure_ascii=False, indent=2) + "\n"
    return download(iter([text.encode("utf-8", "replace")]), f"{name}.json")


def as_file(preset: Preset) -> dict[str, Any]:
    """A preset outside of a box, as `PresetFile` reads it."""
    return {
        "format": "hako-preset",
        "version": 1,
        "name": preset.name,
        "system": preset.system,
        "sampling": preset.sampling,
    }


def _note(call: Call, action: str, preset: Preset) -> None:
    """What everybody gets is recorded; what people keep for themselves isn't."""
    if preset.is_shared:
        call.services.audit.record(call.who.name, action, preset.id)


def _describe(call: Call, preset: Preset) -> dict[str, Any]:
    return {
        "id": preset.id,
        "name": preset.name,
        "system": preset.system,
        "sampling": preset.sampling,
        "shared": preset.is_shared,
        "changeable": preset.is_changeable_by(call.who),
        "updated_at": iso(preset.updated_at),
    }
