"""What is told of a model's own file: its architecture, its template, and whether it takes tools."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.errors import ModelNotFoundError
from appliance.inference.importing import Wish
from appliance.inference.load_settings import LoadSettings
from tests.simulators import gguf
from tests.simulators.box import Person, TestBox

TEMPLATE = "{% if tools %}{{ tools | tojson }}{% endif %}{% for m in messages %}{{ m.content }}{% endfor %}"


@pytest.fixture
def armed(box: TestBox, tmp_path: Path) -> Iterator[str]:
    """An imported model of another architecture, whose template takes tools."""
    entries = {key.replace("llama.", "qwen2."): value for key, value in gguf.entries().items()}
    changed = {"general.architecture": "qwen2", "tokenizer.chat_template": TEMPLATE, "general.name": "Armed"}
    file = tmp_path / "armed.gguf"
    file.write_bytes(gguf.build(entries | changed, gguf.tensors()))
    incoming = box.services.models.begin(Wish(path=str(file), licence="CC0-1.0"))
    for _done in incoming.copy():
        pass
    model = incoming.finish().manifest.id
    incoming.close()
    yield model
    box.drop_model(model)


def listed(person: Person, path: str, key: str, model: str) -> Any:
    answer = person.at("lmstudio").get(path).get_json() if "v1" in path else person.get(path).get_json()
    return next(one for one in answer.get("models") or answer["data"] if one[key].removesuffix(":latest") == model)


def test_every_list_tells_the_architecture_and_tools(bob: Person, armed: str) -> None:
    ours = {model["id"]: model for model in bob.get("/models").get_json()["items"]}
    assert (ours[armed]["architecture"], ours[armed]["tools"]) == ("qwen2", True)
    assert (ours["talker"]["architecture"], ours["talker"]["tools"]) == ("scripted", False)
    details = listed(bob, "//api/tags", "name", armed)["details"]
    assert (details["family"], details["families"], details["format"]) == ("qwen2", ["qwen2"], "gguf")
    old = listed(bob, "//api/v0/models", "id", armed)
    assert (old["arch"], old["capabilities"]) == ("qwen2", ["tool_use"])
    new = listed(bob, "//api/v1/models", "key", armed)
    assert (new["architecture"], new["capabilities"]["trained_for_tool_use"]) == ("qwen2", True)


def test_a_model_is_shown_with_its_own_template_or_the_operators(bob: Person, box: TestBox, armed: str) -> None:
    def shown() -> Any:
        return bob.post("//api/show", json={"model": armed}).get_json()

    told = shown()
    assert told["template"] == TEMPLATE
    assert told["capabilities"] == ["completion", "tools"]
    assert told["model_info"]["general.architecture"] == "qwen2"
    assert told["model_info"]["qwen2.context_length"] == 512
    box.services.gateway.load_settings.put(armed, LoadSettings(template="{{ messages[-1].content }}"))
    assert (shown()["template"], shown()["capabilities"]) == ("{{ messages[-1].content }}", ["completion"])


def test_an_older_models_header_is_read_when_it_is_shown(bob: Person, box: TestBox, armed: str) -> None:
    path = box.settings.models / armed / "model.json"
    written = path.read_text("utf-8")
    path.write_text(written.replace('"architecture": "qwen2"', '"architecture": ""'), "utf-8")
    assert path.read_text("utf-8") != written
    told = bob.post("//api/show", json={"model": armed}).get_json()
    assert (told["details"]["family"], told["model_info"]["general.architecture"]) == ("qwen2", "qwen2")


def test_who_may_not_use_a_model_is_not_shown_its_template(box: TestBox, armed: str) -> None:
    bound = box.services.gateway.acting_for("mallory", lambda model: model != armed)
    with pytest.raises(ModelNotFoundError):
        bound.template(armed)
