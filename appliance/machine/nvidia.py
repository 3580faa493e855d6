"""NVIDIA GPUs as their driver's own library (NVML) tells of them; the library comes with the extra `gpu` alone."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

Unseen = Literal["library", "mismatch", "driver"]
"""Why none can be asked: no library, one of another version than the driver, or a driver that doesn't answer."""


@dataclass(frozen=True)
class Gpu:
    """Bytes of memory, °C, and memory errors since the start that couldn't be mended; None where it doesn't say."""

    used: int
    total: int
    celsius: float | None = None
    limit: float | None = None
    errors: int | None = None


def gpus() -> list[Gpu] | Unseen:
    """Those that the driver shows, in its order."""
    try:
        import pynvml
    except ImportError:
        return "library"
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        if error.value == pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH:
            return "mismatch"
        return "library" if error.value == pynvml.NVML_ERROR_LIBRARY_NOT_FOUND else "driver"
    try:
        count = int(pynvml.nvmlDeviceGetCount())
        return [_seen(pynvml, pynvml.nvmlDeviceGetHandleByIndex(number)) for number in range(count)]
    except pynvml.NVMLError:
        return "driver"
    finally:
        with suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()


def _seen(nvml: Any, card: Any) -> Gpu:
    memory = nvml.nvmlDeviceGetMemoryInfo(card)

    def said(ask: Callable[..., Any], *about: int) -> int | None:
        """None for what this kind of card doesn't have."""
        try:
            return int(ask(card, *about))
        except nvml.NVMLError:
            return None

    return Gpu(
        int(memory.used),
        int(memory.total),
        said(nvml.nvmlDeviceGetTemperature, nvml.NVML_TEMPERATURE_GPU),
        said(nvml.nvmlDeviceGetTemperatureThreshold, nvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN),
        said(nvml.nvmlDeviceGetTotalEccErrors, nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, nvml.NVML_VOLATILE_ECC),
    )
