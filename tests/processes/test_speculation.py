"""Whether a model guesses words: tried both ways by who measures, and then as the measurement says."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from appliance.config import REPOSITORY, Inference, Settings
from appliance.errors import BadInputError, BusyError, ModelNotFoundError
from appliance.gateway import figures, quoting
from appliance.gateway.figures import Benchmark, Figures
from appliance.gateway.gateway import Gateway
from appliance.inference import speculation
from appliance.inference.catalog import Catalog
from appliance.inference.client import InferenceClient
from appliance.inference.engines import scripted
from appliance.inference.load_settings import LoadSettings, LoadSettingsStore
from appliance.inference.supervisor import Supervisor
from tests.simulators.waiting import eventually

NAME = "smollm2-135m-instruct"
BUILT = REPOSITORY / ".build" / "models"


@contextmanager
def running(settings: Settings) -> Iterator[InferenceClient]:
    settings.run_dir.mkdir(mode=0o700, parents=True)
    supervisor = Supervisor(settings)
    supervisor.start()
    try:
        yield InferenceClient(settings.inference_socket)
    finally:
        supervisor.stop()


@pytest.fixture
def client(tmp_path: Path) -> Iterator[InferenceClient]:
    scripted.install(tmp_path / "models", "talker", "chat")
    with running(Settings(data_dir=tmp_path, inference=Inference(threads=1))) as client:
        client.lease("talker", timeout=60).close()
        yield client


def pid(client: InferenceClient) -> int | None:
    """Of the child, while it is as its terms are."""
    now = client.status()["talker"]
    return None if now["outdated"] else now["pid"]


def another(client: InferenceClient, than: int | None) -> int:
    assert eventually(lambda: pid(client) not in (None, than))
    now = pid(client)
    assert now is not None
    return now


def test_a_model_guesses_as_long_as_somebody_tries_it_so(client: InferenceClient) -> None:
    plain = pid(client)
    with client.trial("talker") as trial:
        trial.use("off")
        assert pid(client) == plain
        trial.use("ngram")
        guessing = another(client, plain)
        with pytest.raises(BusyError):
            client.trial("talker")
        assert pid(client) == guessing
    another(client, guessing)
    client.trial("talker").close()


def test_nothing_is_tried_that_there_is_not(client: InferenceClient) -> None:
    with client.trial("talker") as trial, pytest.raises(BadInputError):
        trial.use("mod")  # type: ignore[arg-type]
    for _ in "12":
        with pytest.raises(ModelNotFoundError):
            client.trial("nobody")


@pytest.mark.models
def test_a_model_is_measured_with_guesses_and_without_and_stays_loaded_as_that_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not BUILT.is_dir():
        pytest.skip("the starter models are not built: make models")
    for module, name, value in (
        (quoting, "ROUNDS", 1), (quoting, "TOKENS", 40), (figures, "_ROUNDS", 1), (figures, "_PROMPT_WORDS", 40),
        (figures, "_ANSWER_TOKENS", 16), (figures, "_LONG_S", 0.1),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, value)
    inference = Inference(threads=1, context_tokens=1024, parallel=1, kv_slots_mb=0)
    settings = Settings(data_dir=tmp_path, models_dir=BUILT, inference=inference)
    with running(settings) as client:
        benchmark = Benchmark(settings, Gateway(settings))
        *stages, found = benchmark.measure(NAME, lambda: False)
        assert stages == ["loading", "quoting", "alone", "long", "together"]
        assert isinstance(found, Figures)
        manifest = Catalog(BUILT).get(NAME)
        gains = speculation.measured(settings.model_figures, manifest)
        assert (gains.quoting, gains.other) == (found.quoting_gain, found.other_gain)
        assert min(gains.quoting, gains.other) > 0
        # The child that was measured last stays: neither it nor the figures are out of date by what was found.
        client.lease(NAME, timeout=60).close()
        loaded = client.status()[NAME]
        assert not benchmark.known(NAME).is_stale
        assert not loaded["outdated"]
        # What auto comes to is how they were measured; the other way is another.
        store = LoadSettingsStore(settings.model_settings, Catalog(BUILT))
        for wish in ("ngram", "off"):
            store.put(NAME, LoadSettings(speculation=wish))
            assert benchmark.known(NAME).is_stale == (wish != speculation.resolved("auto", gains))
