"""`hako bundle export-onnx`, as a publisher types it, and what comes out on a stick for a box."""

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from appliance import clock
from appliance.cli.main import main
from appliance.inference import manifest as manifests
from appliance.inference.verify import verify_files
from tests.simulators.encoder import Encoder
from tests.simulators.sticks import Sticks
from tests.simulators.taking_box import TakingBox


def hako(*words: str | Path, language: str = "en_GB.UTF-8") -> Result:
    return CliRunner(env={"LC_ALL": language}).invoke(main, ["bundle", "export-onnx", *map(str, words)])


def test_what_was_exported_goes_onto_a_stick_and_into_a_box(tmp_path: Path) -> None:
    folder = Encoder().write(tmp_path / "m")
    (folder / "NOTICE").write_text("Made of nothing.\n", "utf-8")
    result = hako(folder, tmp_path / "content" / "tiny", "--licence", "CC0-1.0", "--source", "example/tiny")
    assert result.exit_code == 0, result.output
    assert "Kind: embedding model (pooling: mean)" in result.output
    assert "at least 0.99 is demanded" in result.output
    assert f"hako models import {tmp_path}/content/tiny --licence CC0-1.0" in result.output

    sticks = Sticks(tmp_path / "publisher", clock.now())
    digest = sticks.add(tmp_path / "content", "search-pack")
    box = TakingBox(tmp_path / "box")
    try:
        box.trust(sticks)
        assert box.take(sticks.write(tmp_path / "stick"), digest).state == "done"
        assert box.models == ["tiny"]
        stored = box.settings.models / "tiny"
        manifest = manifests.read(stored)
        verify_files(stored, manifest)
        assert (manifest.licence, manifest.source) == ("CC0-1.0", "example/tiny")
        assert {"reference.json", "NOTICE"} <= {path.name for path in stored.iterdir()}
    finally:
        box.close()


def test_another_vocabulary_is_told_at_once_and_no_import_is_promised(tmp_path: Path) -> None:
    folder = Encoder("bert", labels=1, types=2, positions=64).write(tmp_path / "m", wordpiece=True)
    result = hako(folder, tmp_path / "out", "--licence", "MIT", "--quantise", "none", language="ja_JP.UTF-8")
    assert result.exit_code == 0, result.output
    said = result.output.splitlines()
    assert said[0] == "種類: リランカー"
    assert "取り込めません" in said[1]
    assert "hako models import" not in result.output


def test_a_refusal_is_one_sentence(tmp_path: Path) -> None:
    result = hako(tmp_path / "nothing", tmp_path / "out", "--licence", "MIT")
    assert (result.exit_code, result.output.strip().endswith("HK-MOD-035")) == (1, True)
    assert len(result.output.strip().splitlines()) == 1
    folder = Encoder().write(tmp_path / "m", wordpiece=True)
    (tmp_path / "file").write_text("")
    result = hako(folder, tmp_path / "file" / "out", "--licence", "MIT")
    assert (result.exit_code, result.output.strip().endswith("HK-BOX-003")) == (1, True)


def test_an_installed_box_without_the_builders_tools_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [
        name for name in sys.modules if name.startswith(("appliance.bundle.export", "appliance.bundle.enc"))
    ]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "onnx", None)
    result = hako(tmp_path, tmp_path / "out", "--licence", "MIT")
    assert (result.exit_code, result.output.strip().endswith("HK-MOD-039")) == (1, True)
