"""Which onnxruntime is installed."""

from importlib import metadata

import pytest

from appliance.inference import flavour


def installing(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    def distribution(name: str) -> object:
        if name not in names:
            raise metadata.PackageNotFoundError(name)
        return object()

    monkeypatch.setattr(metadata, "distribution", distribution)


def test_this_environment_has_exactly_one_flavour() -> None:
    assert flavour.is_sound(flavour.installed())


@pytest.mark.parametrize(
    ("names", "found", "sound"),
    [
        (["onnxruntime"], ("cpu",), True),
        (["onnxruntime-gpu"], ("gpu",), True),
        (["onnxruntime", "onnxruntime-gpu"], ("cpu", "gpu"), False),
        ([], (), False),
    ],
)
def test_one_is_right_and_two_or_none_are_not(
    monkeypatch: pytest.MonkeyPatch, names: list[str], found: tuple[str, ...], sound: bool
) -> None:
    installing(monkeypatch, *names)
    assert flavour.installed() == found
    assert flavour.is_sound(found) is sound


@pytest.mark.parametrize(
    ("engine", "provider", "name", "may"),
    [
        ("onnx", "auto", "onnxruntime-gpu", True),
        ("genai", "cuda", "onnxruntime-gpu", True),
        ("onnx", "cpu", "onnxruntime-gpu", False),
        ("onnx", "auto", "onnxruntime", False),
        ("llama", "auto", "onnxruntime-gpu", False),
    ],
)
def test_a_gpu_is_used_where_the_box_was_installed_for_it_and_is_let(
    monkeypatch: pytest.MonkeyPatch, engine: str, provider: str, name: str, may: bool
) -> None:
    installing(monkeypatch, name)
    assert flavour.may_use_gpu(engine, provider) is may
