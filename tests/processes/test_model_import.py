"""A model file brought into a running box at its terminal: it answers, also by an alias, and goes again."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance import config
from appliance.errors import HakoError
from appliance.inference import legacy
from appliance.inference.client import InferenceClient
from tests.simulators import gguf, spm
from tests.simulators.served import ServedBox


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedBox]:
    with ServedBox(tmp_path_factory.mktemp("m") / "v") as box:
        yield box


def done(served: ServedBox, *words: str) -> str:
    ran = served.hako("models", *words)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_an_imported_file_answers_a_chat_by_its_name_and_by_an_alias(served: ServedBox, tmp_path: Path) -> None:
    path = gguf.tiny_llama(tmp_path / "Tiny.gguf")
    looked = done(served, "import", str(path), "--licence", "CC0-1.0", "--dry-run")
    assert "Architecture: llama" in looked
    assert "Memory: " in looked
    assert "tiny" not in done(served, "list")

    assert "Model “tiny” was imported." in done(served, "import", str(path), "--licence", "CC0-1.0", "--language", "en")
    assert "there already as model “tiny”" in done(served, "import", str(path), "--licence", "CC0-1.0")
    done(served, "verify", "tiny")
    done(served, "load", "tiny")
    done(served, "alias", "gpt-4o-mini", "tiny")
    assert "gpt-4o-mini" in done(served, "list")
    with served.client() as client:
        for name in ("tiny", "gpt-4o-mini"):
            assert "".join(client.chat(name, [{"role": "user", "content": "hello"}])) != ""
        seen = client.get("/models/tiny")
    assert seen["memory_bytes"] < seen["estimate"]["needed_bytes"]
    assert "Aliases: gpt-4o-mini" in done(served, "show", "tiny")

    done(served, "alias", "gpt-4o-mini", "--remove")
    done(served, "unload", "tiny")
    done(served, "remove", "tiny", "--yes")
    assert "tiny" not in done(served, "list")
    missing = served.hako("models", "show", "tiny")
    assert (missing.returncode, "HK-MOD-001" in missing.stderr) == (1, True)


def test_a_hostile_file_is_one_sentence_and_the_box_goes_on(served: ServedBox, tmp_path: Path) -> None:
    for changes in ({"llama__block_count": 0}, {"llama__block_count": 2**31 - 1}, {"llama__context_length": 0}):
        path = gguf.tiny_llama(tmp_path / "bad.gguf", **changes)
        refused = served.hako("models", "import", str(path), "--licence", "x")
        assert refused.returncode == 1
        assert refused.stderr.strip().endswith("HK-MOD-009")
        assert len(refused.stderr.strip().splitlines()) == 1
    link = tmp_path / "link.gguf"
    link.symlink_to("/etc/passwd")
    assert "HK-MOD-012" in served.hako("models", "import", str(link), "--licence", "x").stderr
    assert json.loads(served.hako("ask", "hello", "--json").stdout)["mode"]


@pytest.mark.skipif(not legacy.version(), reason="the extra `legacy` is not installed")
def test_the_engine_for_older_models_answers_and_its_death_is_its_own(served: ServedBox, tmp_path: Path) -> None:
    path = spm.random_llama(tmp_path / "Older.gguf", layers=16)
    assert "imported" in done(served, "import", str(path), "--licence", "CC0-1.0", "--engine", legacy.ENGINE)
    with served.client() as client:
        asked = [{"role": "user", "content": "hello"}]
        assert "".join(client.chat("older", asked)) != ""
        before = client.get("/models/older")
        assert (before["engine"], before["estimate"]["parallel"]) == (legacy.ENGINE, 1)
        status = InferenceClient(config.load(data_dir=served.folder).inference_socket).status()
        pieces = client.chat("older", [{"role": "user", "content": "hello again"}])
        next(pieces)
        os.kill(status["older"]["pid"], signal.SIGKILL)
        with pytest.raises(HakoError):
            list(pieces)
        assert "".join(client.chat("older", asked)) != ""
    done(served, "remove", "older", "--yes")
    refused = served.hako(
        "models", "import", str(spm.random_llama(path, vocabulary="gpt2")), "--licence", "x", "--engine", legacy.ENGINE
    )
    assert refused.stderr.strip().endswith("HK-MOD-013")
    assert "ctransformers" in served.hako("doctor").stdout


def test_a_default_model_is_not_removed(served: ServedBox) -> None:
    assert "HK-MOD-011" in served.hako("models", "remove", "talker", "--yes").stderr
