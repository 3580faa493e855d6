"""GGUF files that mean harm or make no sense, all the way: the import's jailed reader, then llama.cpp's own process.

Whatever they hold, what comes of it is an answer or an error of ours, nothing that they say is run, and the process
that keeps the models lives on.
"""

import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.config import Settings
from appliance.errors import HakoError, ModelFileError, ModelUnsupportedError
from appliance.gateway.gateway import Gateway
from appliance.inference.client import InferenceClient
from appliance.inference.engines import scripted
from appliance.inference.importing import Importer, Wish
from appliance.inference.supervisor import Supervisor
from tests.contract.test_engines import events
from tests.simulators import encoder_gguf, gguf

CHATML = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:"
ESCAPES = {
    "subclasses": "{% for c in ''.__class__.__mro__[1].__subclasses__() %}{% if c.__name__ == 'Popen' %}"
    "{{ c(['touch', 'MARK']) }}{% endif %}{% endfor %}",
    "subclasses-by-index": "{{ ''.__class__.__base__.__subclasses__()[140].__init__.__globals__['system']"
    "('touch MARK') }}",
    "subclasses-of-messages": "{{ messages.__class__.__mro__[1].__subclasses__() }}",
    "cycler": "{{ cycler.__init__.__globals__.os.popen('touch MARK').read() }}",
    "joiner": "{{ joiner.__init__.__globals__.os.system('touch MARK') }}",
    "namespace": "{{ namespace.__init__.__globals__.os.system('touch MARK') }}",
    "lipsum": "{{ lipsum.__globals__['os'].popen('touch MARK').read() }}",
    "lipsum-builtins": "{{ lipsum.__globals__['__builtins__'].open('MARK', 'w').write('x') }}",
    "self": "{{ self.__init__.__globals__.__builtins__.__import__('os').system('touch MARK') }}",
    "function": "{{ raise_exception.__globals__['os'].system('touch MARK') }}",
    "clock": "{{ strftime_now.__globals__['os'].system('touch MARK') }}",
    "attr": "{{ lipsum|attr('__globals__')|attr('get')('os')|attr('system')('touch MARK') }}",
    "format": "{{ '{0.__class__.__mro__}'.format(messages) }}",
    "hidden-name": "{% set n = '__glo' ~ 'bals__' %}{{ lipsum[n]['os'].system('touch MARK') }}",
    "import": "{% import 'os' as os %}{{ os.system('touch MARK') }}",
    "include": "{% include '/etc/passwd' %}",
    "bare-os": "{{ os.system('touch MARK') }}",
    "bare-import": "{{ __import__('os').system('touch MARK') }}",
}
"""Ways out of Jinja that are known; `MARK` stands for a file that would then exist."""
FIRST = ("subclasses", "cycler", "lipsum", "self", "hidden-name", "import")
"""Those that are tried in each run of the tests."""
FLIPS = 8
"""Bytes in each of them."""


@dataclass
class Box:
    """Models in a folder, and a supervisor that stays the same for all tests."""

    settings: Settings
    gateway: Gateway
    client: InferenceClient

    def imported(self, file: Path) -> str:
        """The file as an operator brings it; the model's name."""
        wish = Wish(path=str(file), licence="CC0-1.0", languages=("en",))
        with Importer(self.settings, lambda _name: False).begin(wish) as incoming:
            list(incoming.copy())
            return incoming.finish().manifest.id

    def asked(self, model: str) -> str:
        """Why its answer ended, or the code of the error that came instead."""
        body = {"messages": [{"role": "user", "content": "hello"}], "temperature": 0, "max_tokens": 8}
        try:
            with self.gateway.open(model, body) as stream:
                answer = events(b"".join(stream))
        except HakoError as error:
            return error.code
        errors = [event for event in answer if "error" in event]
        finishes = [choice["finish_reason"] for event in answer for choice in event.get("choices", ())]
        return "error" if errors else str(finishes[-1])

    def vectors(self, model: str) -> str:
        """`vectors`, or the code of the error that came instead."""
        try:
            made, _tokens = self.gateway.embed_raw(model, ["tokyo", "abc"])
        except HakoError as error:
            return error.code
        return "vectors" if made.shape[0] == 2 else "other"

    def dropped(self, model: str) -> None:
        self.client.unload(model)
        shutil.rmtree(self.settings.models / model)


@pytest.fixture(scope="module")
def box() -> Iterator[Box]:
    with tempfile.TemporaryDirectory(prefix="hako-") as folder:
        given = {"chat_model": "talker", "embedding_model": "embedder", "threads": 1, "child_memory_mb": 1024}
        settings = Settings.model_validate({"data_dir": folder, "inference": given})
        settings.run_dir.mkdir(parents=True)
        scripted.install(settings.models, "talker", "chat")
        supervisor = Supervisor(settings)
        supervisor.start()
        yield Box(settings, Gateway(settings), InferenceClient(settings.inference_socket))
        supervisor.stop()


@pytest.mark.parametrize(
    "way", [*FIRST, *(pytest.param(way, marks=pytest.mark.slow) for way in ESCAPES if way not in FIRST)]
)
def test_a_files_own_template_reaches_nothing(box: Box, tmp_path: Path, way: str) -> None:
    mark = tmp_path / "mark"
    template = CHATML + ESCAPES[way].replace("MARK", str(mark))
    model = box.imported(gguf.tiny_llama(tmp_path / f"{way}.gguf", tokenizer__chat_template=template))
    try:
        outcome = box.asked(model)
        assert outcome in {"length", "stop", "HK-MOD-002", "HK-REQ-001"}, outcome
        assert not mark.exists()
        assert box.client.status().get(model, {}).get("state") != "quarantined"
    finally:
        box.dropped(model)
    assert box.asked("talker") == "stop"


def flipped(data: bytes, seed: int) -> bytes:
    """With some bytes changed: in half of the files anywhere, in the others in what describes the model."""
    chosen, found = random.Random(seed), bytearray(data)
    within = len(data) if seed % 2 else 2500
    for _ in range(FLIPS):
        found[chosen.randrange(within)] ^= chosen.randrange(1, 256)
    return bytes(found)


def outcomes(box: Box, whole: Path, seeds: range, use: Callable[[str], str]) -> set[str]:
    """What comes of changed copies of a file; fails where that is none of what may come."""
    data, found = whole.read_bytes(), dict[int, str]()
    for seed in seeds:
        file = whole.with_name(f"f{seed}.gguf")
        file.write_bytes(flipped(data, seed))
        try:
            model = box.imported(file)
        except (ModelFileError, ModelUnsupportedError) as refused:
            found[seed] = f"import {refused.code}"
            continue
        found[seed] = use(model)
        box.dropped(model)
    fine = {"length", "stop", "error", "vectors", "HK-MOD-002", "HK-MOD-003", "HK-MOD-057", "HK-MOD-068"}
    assert not {seed: how for seed, how in found.items() if how not in fine and not how.startswith("import ")}
    assert box.asked("talker") == "stop"
    return set(found.values())


SEEDS = pytest.mark.parametrize("seeds", [range(8), pytest.param(range(8, 40), marks=pytest.mark.slow)])


@SEEDS
def test_changed_bytes_are_an_error_or_an_answer_and_never_the_end_of_the_supervisor(
    box: Box, tmp_path: Path, seeds: range
) -> None:
    seen = outcomes(box, gguf.tiny_llama(tmp_path / "whole.gguf"), seeds, box.asked)
    assert {"import HK-MOD-009", "length"} <= seen  # else it would not have been tried


@SEEDS
def test_so_are_those_of_an_embedding_model(box: Box, tmp_path: Path, seeds: range) -> None:
    encoder_gguf.small(tmp_path / "whole.gguf")
    seen = outcomes(box, tmp_path / "whole.gguf", seeds, box.vectors)
    assert {"import HK-MOD-009", "vectors"} <= seen  # else it would not have been tried
