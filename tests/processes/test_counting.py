"""Counting the tokens of a prompt on a real model goes on beside the answers that it is writing."""

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

import pytest

from appliance import clock
from appliance.config import REPOSITORY, Inference, Settings
from appliance.gateway.gateway import Gateway
from appliance.inference.supervisor import Supervisor

NAME = "smollm2-135m-instruct"
BUILT = REPOSITORY / ".build" / "models"
BODY = {"messages": [{"role": "user", "content": "Count to a thousand, in words."}]}


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    if not BUILT.is_dir():
        pytest.skip("the starter models are not built: make models")
    inference = Inference(threads=1, context_tokens=4096, parallel=2, kv_slots_mb=0)
    settings = Settings(data_dir=tmp_path, models_dir=BUILT, inference=inference)
    settings.run_dir.mkdir(mode=0o700, parents=True)
    supervisor = Supervisor(settings)
    supervisor.start()
    yield Gateway(settings)
    supervisor.stop()


@pytest.mark.models
def test_a_prompt_is_counted_while_every_place_is_taken(gateway: Gateway) -> None:
    alone = gateway.count_prompt(NAME, BODY)
    body = {**BODY, "max_tokens": 1500, "ignore_eos": True, "stream": True}
    with ExitStack() as streams:
        writing = [iter(streams.enter_context(gateway.open(NAME, dict(body)))) for _ in range(2)]
        for answer in writing:
            assert list(islice(answer, 1))
        until = clock.monotonic() + 60
        counted = gateway.acting_for("bob", lambda _model: True).count_prompt(
            NAME, BODY, stopped=lambda: clock.monotonic() > until
        )
        texts = gateway.count_tokens(["one two", "three"], NAME, stopped=lambda: clock.monotonic() > until)
        assert [bool(list(islice(answer, 1))) for answer in writing] == [True, True]  # neither had ended
    assert counted == alone > 10
    assert texts == [2, 1]
