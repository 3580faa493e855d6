"""Memory estimates: what is counted, and when a model fits, is tight or too big."""

from pathlib import Path

import pytest

from appliance.config import Inference
from appliance.inference.engine import CacheType
from appliance.inference.estimate import SCRATCH_BYTES, Estimate, estimate
from appliance.inference.gguf import parse
from appliance.inference.load_settings import LoadSettings
from tests.simulators import encoder_gguf, gguf

GIB = 1 << 30


def sized(needed: int, available: int, total: int) -> Estimate:
    figures = {"context": 512, "parallel": 1, "limit": GIB}
    return Estimate(weights=needed, cache=0, scratch=0, available=available, total=total, **figures)


@pytest.mark.parametrize(
    ("needed", "available", "total", "verdict"),
    [
        (4 * GIB, 12 * GIB, 16 * GIB, "fits"),
        (11 * GIB, 12 * GIB, 16 * GIB, "fits"),
        (11 * GIB + 1, 12 * GIB, 16 * GIB, "tight"),
        (4 * GIB, 2 * GIB, 16 * GIB, "tight"),
        (15 * GIB, 0, 16 * GIB, "tight"),
        (15 * GIB + 1, 16 * GIB, 16 * GIB, "too_big"),
        (GIB, GIB, GIB, "too_big"),
        (GIB // 2, GIB, GIB, "fits"),
    ],
)
def test_the_verdict_leaves_the_box_its_share(needed: int, available: int, total: int, verdict: str) -> None:
    assert sized(needed, available, total).verdict == verdict


def test_weights_cache_of_all_answers_and_scratch_are_counted() -> None:
    data = gguf.build(gguf.entries(llama__context_length=100_000), gguf.tensors())
    header = parse(data, len(data))
    settings = Inference(parallel=3, context_tokens=2048)
    found = estimate(1000, header.context, settings, header=header)
    assert (found.context, found.parallel) == (2048, 3)
    assert found.cache == header.cache_bytes_per_token * 2048 * 3
    assert found.needed == 1000 + found.cache + SCRATCH_BYTES


def test_an_embedding_model_needs_scratch_for_a_whole_text_and_keeps_nothing(tmp_path: Path) -> None:
    file = tmp_path / "vectors.gguf"
    network = encoder_gguf.small(file, bert__context_length=8192)
    header = parse(file.read_bytes(), file.stat().st_size)
    found = estimate(1000, header.context, Inference(context_tokens=8192), header=header)
    assert (found.cache, found.context) == (0, 8192)
    assert found.scratch == SCRATCH_BYTES + 50 * network.hidden * 8192


@pytest.mark.parametrize(("cache_type", "of_32"), [("f16", 64), ("q8_0", 34), ("q4_0", 18)])
def test_a_rounded_cache_takes_less(cache_type: CacheType, of_32: int) -> None:
    data = gguf.build(gguf.entries(llama__context_length=8192), gguf.tensors())
    header = parse(data, len(data))
    wish = LoadSettings(context=1024, parallel=1, cache_type=cache_type)
    found = estimate(1000, header.context, Inference(), header=header, wish=wish)
    assert found.cache == header.cache_bytes_per_token * 1024 * of_32 // 64


def test_a_model_without_a_header_has_no_cache_and_what_it_holds_counts_as_free() -> None:
    found = estimate(1000, 512, Inference(), held=7 * GIB)
    assert (found.cache, found.parallel, found.context) == (0, 1, 512)
    assert found.available >= 7 * GIB


@pytest.mark.parametrize(
    ("cache", "available", "total", "cause", "over"),
    [
        (GIB - SCRATCH_BYTES, 16 * GIB, 16 * GIB, None, 0),
        (GIB - SCRATCH_BYTES + 1, 16 * GIB, 16 * GIB, "limit", 1),
        (GIB - SCRATCH_BYTES + 1, GIB, GIB, "limit", 1),
        (GIB - SCRATCH_BYTES, 2 * GIB, 2 * GIB, "machine", 0),
    ],
)
def test_what_a_model_is_too_big_for_is_said(
    cache: int, available: int, total: int, cause: str | None, over: int
) -> None:
    figures = {"context": 512, "parallel": 1, "limit": GIB}
    found = Estimate(weights=GIB, cache=cache, scratch=SCRATCH_BYTES, available=available, total=total, **figures)
    assert (found.cause, found.over_limit) == (cause, over)
    assert (found.verdict == "too_big") is (cause is not None)
