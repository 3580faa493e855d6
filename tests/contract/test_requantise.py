"""The starter model made smaller: as another implementation packs it, and it still knows what it knew."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType, quants

from appliance.config import REPOSITORY, Inference, Settings
from appliance.errors import ModelTooCoarseError
from appliance.inference import golden, golden_questions, golden_results
from appliance.inference.gguf_layout import layout
from appliance.inference.gguf_types import TENSORS
from appliance.inference.importing import Importer
from appliance.inference.requantise import Requantiser
from tests.simulators import llama

pytestmark = pytest.mark.models

STARTER = Inference().chat_model


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(data_dir=tmp_path)
    settings.models.mkdir()
    built = REPOSITORY / ".build" / "models" / STARTER
    shutil.copytree(built, settings.models / STARTER, ignore=shutil.ignore_patterns(golden.FILE_NAME))
    return settings


def test_the_starter_model_becomes_q4_0_and_still_answers(settings: Settings) -> None:
    requantiser = Requantiser(settings, Importer(settings, lambda _name: False))
    with requantiser.begin(STARTER, "Q4_0") as making:
        list(making.run())
        new, old = making.finish().manifest, making.original
    path, original = settings.models / new.id / new.entry, settings.models / old.id / old.entry
    before, after = original.read_bytes(), path.read_bytes()
    assert (new.quantization, new.parameters, new.size < old.size) == ("Q4_0", old.parameters, True)
    kinds = set()
    for was, became in zip(layout(before).tensors, layout(after).tensors, strict=True):
        raw = np.frombuffer(before[was.start : was.start + was.size()], np.uint8).reshape(was.rows, -1)
        kinds.add((TENSORS[was.kind].name, TENSORS[became.kind].name))
        if was.kind != became.kind and was.name.startswith("blk.7."):
            numbers = quants.dequantize(raw, GGMLQuantizationType(was.kind))
            packed = quants.quantize(numbers, GGMLQuantizationType(became.kind)).tobytes()
            assert packed == after[became.start : became.start + became.size()], was.name
    assert kinds == {("F32", "F32"), ("Q4_1", "Q4_0"), ("Q8_0", "Q8_0")}
    assert "Tokyo" in answer(path.parent, new.id, new.entry)
    reference = json.loads((path.parent / golden.REFERENCE).read_text("utf-8"))
    assert reference == json.loads((original.parent / golden.REFERENCE).read_text("utf-8"))
    assert golden_results.worse_perplexity(perplexity(path.parent, new.id, new.entry), reference["perplexity"]) == ""


def test_a_type_that_hardly_fits_its_rows_is_refused(settings: Settings) -> None:
    requantiser = Requantiser(settings, Importer(settings, lambda _name: False))
    for to in ("Q4_K_M", "Q8_0"):
        with pytest.raises(ModelTooCoarseError):
            requantiser.begin(STARTER, to)
    assert [path.name for path in settings.models.iterdir()] == [STARTER]


def answer(folder: Path, model: str, entry: str) -> str:
    with llama.running(model, folder / entry, context=512) as connection:
        asked = [{"role": "user", "content": "What is the capital of Japan?"}]
        said = connection.json("/v1/chat/completions", {"messages": asked, "max_tokens": 24, "temperature": 0})
        return str(said["choices"][0]["message"]["content"])


def perplexity(folder: Path, model: str, entry: str) -> float:
    with llama.running(model, folder / entry, context=512) as connection:
        return golden_questions._perplexity(connection, golden_questions._BEGUN, golden_questions._KNOWN)
