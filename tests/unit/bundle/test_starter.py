"""The catalogue of starter models: the real one, and mistakes in one."""

import tomllib
from pathlib import Path

import pytest

from appliance.bundle import starter
from appliance.config import REPOSITORY, Inference
from appliance.errors import ConfigError

GOOD = """
format = 1
[[models]]
id = "m"
name = "M"
kind = "chat"
engine = "scripted"
licence = "MIT"
package = "pack"
version = "1.0"
wheel = "pack-1.0-*.whl"
entry = "script"
languages = ["en"]
context = 10
quantization = ""
parameters = 1
size_class = "tiny"
[[models.files]]
name = "script"
member = "pack/script"
sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
size = 3
"""


def read(path: Path, text: str) -> tuple[starter.Starter, ...]:
    path.write_text(text, "utf-8")
    return starter.read(path)


def test_the_real_catalogue_has_the_boxs_default_models() -> None:
    models = {model.id: model for model in starter.read()}
    defaults = Inference()
    assert models[defaults.chat_model].manifest().kind == "chat"
    embedding = models[defaults.embedding_model].manifest()
    assert (embedding.kind, embedding.dimensions) == ("embedding", 384)
    assert all((starter.CATALOGUE.parent / model.vectors).is_file() for model in models.values() if model.vectors)


def test_the_pinned_wheels_are_those_of_the_catalogue() -> None:
    pins = (REPOSITORY / "requirements" / "models.txt").read_text("utf-8")
    for model in starter.read():
        assert f"{model.package}=={model.version} " in pins
        assert model.wheel == f"{model.package.replace('-', '_')}-{model.version}-*.whl"


def test_a_catalogue_becomes_manifests(tmp_path: Path) -> None:
    (model,) = read(tmp_path / "models.toml", GOOD)
    manifest = model.manifest()
    assert (manifest.source, manifest.size, manifest.entry) == ("pack 1.0", 3, "script")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("format = 1", "format = 2"),
        ('entry = "script"', 'entry = "other"'),
        ('entry = "script"', 'entry = "script"\nfrob = 1'),
        ('id = "m"', 'id = "../m"'),
        ('name = "script"', 'name = "../script"'),
        ('name = "script"', 'name = "model.json"'),
        ('wheel = "pack-1.0-*.whl"', 'wheel = "../pack-1.0-*.whl"'),
        ('member = "pack/script"\n', ""),
        ('entry = "script"', 'entry = "script"\nrecipe = "e5"'),
        ('kind = "chat"', 'kind = "embedding"'),
        ('kind = "chat"', 'kind = "embedding"\ndimensions = 3'),
        ("size = 3", "size = 0"),
        ("[[models]]", "[[models"),
        (GOOD, ""),
        (GOOD, GOOD + GOOD[GOOD.index("[[models]]") :]),
    ],
)
def test_a_mistake_in_the_catalogue_is_refused(tmp_path: Path, old: str, new: str) -> None:
    assert tomllib.loads(GOOD)
    with pytest.raises(ConfigError):
        read(tmp_path / "models.toml", GOOD.replace(old, new))


def test_a_missing_catalogue_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        starter.read(tmp_path / "models.toml")
