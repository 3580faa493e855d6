"""GPUs as their driver tells of them, and drivers that don't."""

import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from appliance.health.checks.gpu import GpuCheck
from appliance.machine import nvidia
from appliance.machine.nvidia import Gpu, Unseen
from tests.unit.health.checks.machines import GIB, found, host

CARD = {"/dev/nvidia0": ""}


def test_none_is_well_and_nobody_is_asked(tmp_path: Path) -> None:
    assert GpuCheck(lambda: pytest.fail("asked")).look(host(tmp_path, {"/dev/nvidiactl": ""})).state == "ok"


@pytest.mark.parametrize("said", ["library", "mismatch", "driver", []])
def test_one_that_does_not_answer(tmp_path: Path, said: Sequence[Gpu] | Unseen) -> None:
    assert found(GpuCheck(lambda: said).look(host(tmp_path, CARD))) == [("unseen", "warning")]


def test_heat_and_errors(tmp_path: Path) -> None:
    card = [Gpu(GIB, 4 * GIB)]
    check = GpuCheck(lambda: card)
    said = []
    for celsius, errors in ((50, 0), (85, None), (83, 0), (81, 0), (90, 2)):
        card[0] = Gpu(GIB, 4 * GIB, celsius, 90, errors)
        said.append(found(check.look(host(tmp_path, CARD))))
    hot = [("hot", "warning")]
    assert said == [[], hot, hot, [], [("faulty", "error"), ("hot", "error")]]
    assert check.look(host(tmp_path, CARD)).measures == {"gpu.memory": 0.25, "gpu.temperature": 90}


class NvmlError(Exception):
    def __init__(self, value: int) -> None:
        self.value = value


def library(**changed: object) -> SimpleNamespace:
    """The library's functions that are used, with the values that its header gives them."""

    def lacks(*_about: object) -> int:
        raise NvmlError(3)

    return SimpleNamespace(**{
        "NVMLError": NvmlError, "NVML_ERROR_LIB_RM_VERSION_MISMATCH": 18, "NVML_ERROR_LIBRARY_NOT_FOUND": 12,
        "NVML_TEMPERATURE_GPU": 0, "NVML_TEMPERATURE_THRESHOLD_SLOWDOWN": 1, "NVML_MEMORY_ERROR_TYPE_UNCORRECTED": 1,
        "NVML_VOLATILE_ECC": 0, "nvmlInit": lambda: None, "nvmlShutdown": lambda: None, "nvmlDeviceGetCount": lambda: 1,
        "nvmlDeviceGetHandleByIndex": lambda number: number, "nvmlDeviceGetTemperature": lambda *_: 41,
        "nvmlDeviceGetMemoryInfo": lambda _card: SimpleNamespace(used=1, total=2),
        "nvmlDeviceGetTemperatureThreshold": lacks, "nvmlDeviceGetTotalEccErrors": lacks, **changed,
    })  # fmt: skip


def raises(value: int):
    def fail(*_about: object) -> None:
        raise NvmlError(value)

    return fail


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        (None, "library"),
        (library(nvmlInit=raises(12)), "library"),
        (library(nvmlInit=raises(18)), "mismatch"),
        (library(nvmlInit=raises(9)), "driver"),
        (library(nvmlDeviceGetCount=raises(15), nvmlShutdown=raises(1)), "driver"),
        (library(), [Gpu(1, 2, 41)]),
    ],
    ids=["absent", "not found", "mismatch", "not loaded", "lost", "answers"],
)
def test_the_drivers_library(monkeypatch: pytest.MonkeyPatch, module: object, expected: object) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", module)
    assert nvidia.gpus() == expected
