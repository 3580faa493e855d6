"""A model file brought into a running box at its terminal: it answers, also by an alias, and goes again."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from appliance import config
from appliance.errors import HakoError
from appliance.inference import genai, legacy
from appliance.inference.client import InferenceClient
from appliance.inference.engines.xlmr import Tokenizer
from tests.simulators import encoder_gguf, gguf, hugging_face, spm, vision
from tests.simulators import genai as genai_folders
from tests.simulators.encoder import BERT_PIECES, Encoder
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


@pytest.mark.skipif(not genai.version(), reason="the extra `genai` is not installed")
def test_a_chat_model_on_onnx_is_brought_as_a_folder_and_answers(served: ServedBox, tmp_path: Path) -> None:
    folder = genai_folders.talker(tmp_path / "On ONNX", beside=True)
    looked = done(served, "import", str(folder), "--licence", "CC0-1.0", "--dry-run")
    assert "Architecture: llama" in looked
    assert "imported" in done(served, "import", str(folder), "--licence", "CC0-1.0", "--language", "en")
    with served.client() as client:
        asked = [{"role": "user", "content": "Where?"}]
        assert "".join(client.chat("on-onnx", asked)).strip() == genai_folders.SAID.strip()
        seen = client.get("/models/on-onnx")
        assert (seen["engine"], seen["estimate"]["parallel"], seen["provider"]) == (genai.ENGINE, 1, "cpu")
        refused = served.hako("models", "set", "on-onnx", "--speculation", "ngram")
    assert refused.returncode == 1
    assert "genai" in served.hako("doctor").stdout
    done(served, "remove", "on-onnx", "--yes")
    (folder / "model.onnx").write_bytes(b"MZ")
    broken = served.hako("models", "import", str(folder), "--licence", "x")
    assert broken.stderr.strip().endswith("HK-MOD-009")


def test_a_default_model_is_not_removed(served: ServedBox) -> None:
    assert "HK-MOD-011" in served.hako("models", "remove", "talker", "--yes").stderr


@pytest.mark.slow
def test_a_smaller_model_is_made_measured_and_answers_beside_the_original(served: ServedBox, tmp_path: Path) -> None:
    path = gguf.tiny_llama(tmp_path / "Whole.gguf", llama__context_length=4096)
    done(served, "import", str(path), "--licence", "CC0-1.0", "--language", "en")
    printed = done(served, "requantise", "whole", "--to", "q8_0")
    assert "Model “whole-q8_0” was made" in printed
    assert "Compared with the original it reads " in printed
    assert "tokens per second" in done(served, "bench", "whole-q8_0", "--last")
    assert "Source: whole sha256:" in done(served, "show", "whole-q8_0")
    with served.client() as client:
        assert "".join(client.chat("whole-q8_0", [{"role": "user", "content": "hello"}])) != ""
    refused = served.hako("models", "requantise", "whole-q8_0", "--to", "F16")
    assert (refused.returncode, refused.stderr.strip().endswith("HK-MOD-016")) == (1, True)
    for model in ("whole", "whole-q8_0"):
        done(served, "remove", model, "--yes")


@pytest.mark.slow
def test_a_smaller_copy_is_made_with_the_import(served: ServedBox, tmp_path: Path) -> None:
    path = gguf.tiny_llama(tmp_path / "Both.gguf", llama__context_length=4096)
    words = ("import", str(path), "--licence", "CC0-1.0")
    assert "Smaller forms it can have: F16, Q8_0" in done(served, *words, "--dry-run")
    printed = done(served, *words, "--requantise", "q8_0")
    assert printed.index("Model “both” was imported") < printed.index("Model “both-q8_0” was made")
    assert "Compared with the original it reads " in printed
    again = served.hako("models", *words, "--requantise", "q8_0")
    assert (again.returncode, again.stderr.strip().endswith("HK-BOX-009")) == (1, True)
    assert "The smaller copy was not made. The imported model “both”" in again.stdout
    for model in ("both", "both-q8_0"):
        done(served, "remove", model, "--yes")


def test_an_embedding_model_in_one_file_makes_vectors_for_programs(served: ServedBox, tmp_path: Path) -> None:
    path = tmp_path / "bge-small-en.gguf"
    network = encoder_gguf.small(path)
    looked = done(served, "import", str(path), "--licence", "MIT", "--dry-run")
    for fact in ("Kind: embedding", "Dimensions: 32", "Pooling: mean", "“Represent this sentence for"):
        assert fact in looked
    done(served, "import", str(path), "--licence", "MIT", "--language", "en", "--query-prefix", "q: ")

    key = {"Authorization": f"Bearer {served.api_key('ada')}"}

    def asked(where: str, **body: Any) -> httpx2.Response:
        return httpx2.post(f"{served.url}{where}", json={"model": "bge-small-en", **body}, headers=key, timeout=60)

    marks = [BERT_PIECES.index(mark) for mark in ("[CLS]", "[SEP]")]
    ids = [marks[0], *map(BERT_PIECES.index, ["t", "##o", "##k", "##y", "##o"]), marks[1]]
    answer = asked("/v1/embeddings", input=["Tokyo", "abc"]).json()
    np.testing.assert_allclose(answer["data"][0]["embedding"], network.embed(ids), atol=1e-3)
    assert answer["usage"]["prompt_tokens"] == 7 + 5

    long = "a " * 300
    refused = asked("/v1/embeddings", input=[long])
    assert (refused.status_code, refused.json()["error"]["hako_code"]) == (400, "HK-MOD-005")
    cut = asked("/api/embed", input=[long, "Tokyo"]).json()
    whole = [marks[0], *[BERT_PIECES.index("a")] * 62, marks[1]]
    np.testing.assert_allclose(cut["embeddings"][0], network.embed(whole), atol=1e-3)
    np.testing.assert_allclose(cut["embeddings"][1], network.embed(ids), atol=1e-3)
    assert cut["prompt_eval_count"] == 64 + 7
    for where in ("/v1/chat/completions", "/v1/completions"):
        words = (
            {"prompt": "a"} if where.endswith("/v1/completions") else {"messages": [{"role": "user", "content": "a"}]}
        )
        assert asked(where, **words).status_code == 400
    done(served, "remove", "bge-small-en", "--yes")


@pytest.mark.slow
def test_an_adapter_changes_the_answers_as_far_as_it_is_set_to(served: ServedBox, tmp_path: Path) -> None:
    done(
        served,
        "import",
        str(gguf.tiny_llama(tmp_path / "Base.gguf", seed=7)),
        "--licence",
        "CC0-1.0",
        "--language",
        "en",
    )

    key = {"Authorization": f"Bearer {served.api_key('ada')}"}

    def answered() -> str:
        done(served, "unload", "base")
        body = {"model": "base", "messages": [{"role": "user", "content": "hello"}], "temperature": 0, "max_tokens": 12}
        answer = httpx2.post(f"{served.url}/v1/chat/completions", json=body, headers=key, timeout=60)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["choices"][0]["message"]["content"])

    plain = answered()
    assert "style.lora.gguf" in done(served, "adapter", "add", "base", str(gguf.tiny_lora(tmp_path / "Style.gguf")))
    assert "style.lora.gguf" in done(served, "adapter", "list", "base")
    assert answered() == plain  # it is there, but not set
    done(served, "set", "base", "--adapter", "style.lora.gguf")
    assert answered() != plain
    done(served, "set", "base", "--adapter-scale", "0")
    assert answered() == plain

    done(served, "adapter", "add", "base", str(gguf.tiny_lora(tmp_path / "Wide.gguf", width=64)))
    done(served, "set", "base", "--adapter", "wide.lora.gguf", "--adapter-scale", "1")
    done(served, "unload", "base")
    refused = served.hako("models", "load", "base")
    assert (refused.returncode, refused.stderr.strip().endswith("HK-MOD-017")) == (1, True)
    done(served, "adapter", "remove", "base", "wide.lora.gguf")
    assert answered() == plain
    done(served, "remove", "base", "--yes")


@pytest.mark.slow
def test_folders_of_onnx_models_embed_and_rerank_and_hostile_ones_are_one_sentence(
    served: ServedBox, tmp_path: Path
) -> None:
    embedder, reranker = hugging_face.embedder(tmp_path / "Tiny E5"), hugging_face.reranker(tmp_path / "Ranker")
    looked = done(served, "import", str(embedder), "--licence", "MIT", "--dry-run")
    assert "Kind: embedding" in looked
    assert "Dimensions: 32" in looked
    assert "Prefix of questions: “query: ”" in looked
    assert "Model “tiny-e5” was imported." in done(served, "import", str(embedder), "--licence", "MIT")
    assert "there already as model “tiny-e5”" in done(served, "import", str(embedder), "--licence", "MIT")
    assert "Model “ranker” was imported." in done(served, "import", str(reranker), "--licence", "MIT")
    done(served, "verify", "tiny-e5")

    key = {"Authorization": f"Bearer {served.api_key('bert')}"}
    asked = {"model": "tiny-e5", "input": ["a東京", "b"]}
    vectors = httpx2.post(f"{served.url}/v1/embeddings", json=asked, headers=key, timeout=60).json()["data"]
    assert [len(entry["embedding"]) for entry in vectors] == [32, 32]
    asked = {"model": "ranker", "query": "a東京", "documents": ["a東京", "b", "c が"]}
    results = httpx2.post(f"{served.url}/v1/rerank", json=asked, headers=key, timeout=60).json()["results"]
    assert len({result["relevance_score"] for result in results}) == 3

    (reranker / "model.onnx").write_bytes(b"\x80\x04cposix\nsystem\n")
    refused = served.hako("models", "import", str(reranker), "--licence", "x")
    assert (refused.returncode, refused.stderr.strip().endswith("HK-MOD-021")) == (1, True)
    assert len(refused.stderr.strip().splitlines()) == 1
    (embedder / "tokenizer.json").unlink()
    assert "HK-MOD-022" in served.hako("models", "import", str(embedder), "--licence", "x").stderr
    chat = gguf.tiny_llama(tmp_path / "Chat.gguf")
    assert "HK-BOX-003" in served.hako("models", "import", str(chat), "--licence", "x", "--kind", "embedding").stderr
    for model in ("tiny-e5", "ranker"):
        done(served, "remove", model, "--yes")


def test_a_model_brought_with_its_projector_answers_to_pictures_and_keeps_its_sight(
    served: ServedBox, tmp_path: Path
) -> None:
    model = gguf.tiny_llama(tmp_path / "Seeing.gguf", llama__context_length=4096)
    projector = vision.tiny_projector(tmp_path / "mmproj.gguf")
    given = ("import", str(model), "--projector", str(projector), "--licence", "CC0-1.0", "--language", "en")
    assert "Projector (lets it see pictures): mmproj.gguf" in done(served, *given, "--dry-run")
    done(served, *given)
    assert "mmproj-seeing.gguf" in done(served, "show", "seeing")
    done(served, "requantise", "seeing", "--to", "q8_0")
    key = {"Authorization": f"Bearer {served.api_key('eva')}"}

    def asked(model: str, *pictures: bytes) -> dict[str, Any]:
        body = {"model": model, "messages": [vision.seen("hello", *pictures)], "temperature": 0, "max_tokens": 12}
        answer = httpx2.post(f"{served.url}/v1/chat/completions", json=body, headers=key, timeout=60)
        return dict(answer.json())

    def text(answer: dict[str, Any]) -> str:
        return str(answer["choices"][0]["message"]["content"])

    red, green = vision.png((220, 20, 20)), vision.png((20, 200, 20))
    for name in ("seeing", "seeing-q8_0"):
        blind, shown, other = asked(name), asked(name, red), asked(name, green)
        assert shown["usage"]["prompt_tokens"] >= blind["usage"]["prompt_tokens"] + vision.TOKENS
        assert text(shown) != text(other)
    assert asked("talker", red)["error"]["hako_code"] == "HK-MOD-028"
    wide = vision.tiny_projector(tmp_path / "mmproj-wide.gguf", width=64)
    refused = served.hako("models", "import", str(model), "--projector", str(wide), "--licence", "x")
    assert (refused.returncode, refused.stderr.strip().endswith("HK-MOD-027")) == (1, True)
    for name in ("seeing", "seeing-q8_0"):
        done(served, "remove", name, "--yes")


@pytest.mark.slow
def test_an_exported_hugging_face_folder_embeds_and_reranks_as_the_original_does(
    served: ServedBox, tmp_path: Path
) -> None:
    embedder, reranker = Encoder(), Encoder(labels=1, seed=5)
    for network, name, quantise in ((embedder, "exported", "int8"), (reranker, "judge", "none")):
        folder, out = network.write(tmp_path / f"{name}.hf"), str(tmp_path / name)
        ran = served.hako("bundle", "export-onnx", str(folder), out, "--licence", "MIT", "--quantise", quantise)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert f"Model “{name}” was imported." in done(served, "import", out, "--licence", "MIT")
    tokenizer = Tokenizer(tmp_path / "judge" / "sentencepiece.model")
    key = {"Authorization": f"Bearer {served.api_key('cleo')}"}

    texts = ["a東京", "b c が ab"]
    body: dict[str, object] = {"model": "exported", "input": texts}
    data = httpx2.post(f"{served.url}/v1/embeddings", json=body, headers=key, timeout=60).json()["data"]
    for entry, ids in zip(data, tokenizer.encode(texts), strict=True):
        assert float(np.dot(entry["embedding"], embedder.embed(ids))) > 0.99

    documents = ["a東京", "b", "c が"]
    body = {"model": "judge", "query": "a東京", "documents": documents}
    results = httpx2.post(f"{served.url}/v1/rerank", json=body, headers=key, timeout=60).json()["results"]
    asked, *read = tokenizer.pieces(["a東京", *documents])
    for result in results:
        logit = float(reranker.score(tokenizer.pair(asked, read[result["index"]], 512))[0])
        assert abs(result["relevance_score"] - 1 / (1 + np.exp(-logit))) < 1e-4
    for name in ("exported", "judge"):
        done(served, "remove", name, "--yes")
