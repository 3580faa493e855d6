"""What a signed index may not say: the attack cases on paths, requirements and JSON."""

from pathlib import Path
from typing import Any

import pytest

from appliance.bundle.index import Requires
from appliance.errors import BundleIncompleteError, BundleInvalidError, BundleWrongBoxError
from tests.simulators.bundle_cases import TARGET, digest_of, index_with, nothing_is_seen, refused, weights
from tests.simulators.sticks import Sticks
from tests.simulators.taking_box import TakingBox


@pytest.mark.parametrize(
    "path",
    [
        "../first/model.onnx", "first/../../etc/x", "/etc/x", "first//x", "first/./x", "C:/x", "first\\x", "first/con",
        "first/nul.gguf", "first/x ", "first/x.", "first/\u202egpj.x", "first/\0", "first/" + "x" * 5000,
        "FIRST/model.onnx", "first/MODEL.onnx", "first", "first/model.onnx/x", "ﬁrst/model.onnx",
    ],
)  # fmt: skip
def test_case_12_a_path_that_leads_elsewhere_or_has_a_twin_is_refused(
    box: TakingBox, sticks: Sticks, tmp_path: Path, path: str
) -> None:
    def add(said: dict[str, Any]) -> None:
        said["files"].append({**said["files"][0], "path": path})

    sticks.sign(index_with(sticks, add), TARGET)
    refused(box, sticks.write(tmp_path / "stick"), BundleInvalidError)


def test_case_20_a_bundle_for_another_box_is_refused_before_copying(
    box: TakingBox, sticks: Sticks, content: Path, tmp_path: Path
) -> None:
    sticks.add(content, "pack", requires=Requires(device="Another box"))
    stick = sticks.write(tmp_path / "stick")
    with pytest.raises(BundleWrongBoxError):
        box.bundles.take(str(stick), digest_of(sticks), "alice")
    assert (box.bundles.job(), box.leftovers) == (None, [])


def test_case_21_a_thin_bundle_without_its_base_names_it(
    box: TakingBox, sticks: Sticks, content: Path, tmp_path: Path
) -> None:
    sticks.add(content, "pack", requires=Requires(base="basis 0.9"))
    stick = sticks.write(tmp_path / "stick")
    weights(stick)[0].unlink()
    with pytest.raises(BundleIncompleteError) as missing:
        box.bundles.take(str(stick), digest_of(sticks), "alice")
    assert missing.value.params["base"] == "basis 0.9"
    assert nothing_is_seen(box)


BOMBS = [
    b"[" * 1_000_000,
    b'{"a":' * 100_000,
    b'{"format": 1, "format": 1, "files": []}',
    b'{"format": ' + b"9" * 100_000 + b"}",
    b'{"format": 1e999}',
    b"\xff\xfe{}",
    b"",
    b"null",
]


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.parametrize("where", ["index", "contents.json", "manifest"])
def test_case_35_json_made_to_break_a_reader_is_refused(
    box: TakingBox, sticks: Sticks, content: Path, tmp_path: Path, where: str, bomb: bytes
) -> None:
    if where == "index":
        sticks.sign(bomb, TARGET)
    elif where == "manifest":
        (content / "first" / "model.json").write_bytes(bomb)
        sticks.add(content, "pack")
    stick = sticks.write(tmp_path / "stick")
    if where == "contents.json":
        (stick / where).write_bytes(bomb)
    if where == "manifest":
        (found,) = box.bundles.look(str(stick)).bundles
        assert [type(error) for error in found.plan.refusals] == [BundleInvalidError]
    else:
        refused(box, stick, BundleInvalidError)


@pytest.mark.parametrize("mode", ["setuid", "04755", 0o4755, "program"])
def test_case_36_a_file_among_models_is_never_made_to_run(
    box: TakingBox, sticks: Sticks, tmp_path: Path, mode: object
) -> None:
    def alter(said: dict[str, Any]) -> None:
        said["files"][0]["mode"] = mode

    sticks.sign(index_with(sticks, alter), TARGET)
    stick = sticks.write(tmp_path / "stick")
    if mode == "program":  # releases have such files, models don't
        (found,) = box.bundles.look(str(stick)).bundles
        assert [type(error) for error in found.plan.refusals] == [BundleInvalidError]
    else:
        refused(box, stick, BundleInvalidError)


def test_a_wrong_kind_is_refused_by_its_name(box: TakingBox, sticks: Sticks, content: Path, tmp_path: Path) -> None:
    sticks.add(content, "workshop", kind="apps", role="content")
    stick = sticks.write(tmp_path / "stick")
    plans = {found.index.kind: found.plan for found in box.bundles.look(str(stick)).bundles}
    assert [error.code for error in plans["apps"].refusals] == ["HK-BND-010"]
    assert plans["models"].refusals == ()
