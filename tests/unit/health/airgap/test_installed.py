"""What is installed: each file against its package's list, each model against its digests and the record."""

import base64
import hashlib
from pathlib import Path

from appliance.bundle.update.state import Release
from appliance.health.airgap import installed
from appliance.inference import manifest
from appliance.inference.engines import scripted
from appliance.storage.audit import Entry


def package(folder: Path) -> Path:
    content = b"print('hello')\n"
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    (folder / "thing").mkdir(parents=True)
    (folder / "thing" / "a.py").write_bytes(content)
    info = folder / "thing-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: Thing\nVersion: 1.2\n")
    (info / "RECORD").write_text(f"thing/a.py,sha256={digest},{len(content)}\nthing-1.2.dist-info/RECORD,,\n")
    return folder


def test_a_package_is_told_with_the_digest_of_its_list(tmp_path: Path) -> None:
    seen = installed.software(Release(version="1", digest="ab"), [str(package(tmp_path))])
    assert (seen.state, seen.release_digest) == ("ok", "ab")
    assert [(each.name, each.version, len(each.listed)) for each in seen.packages] == [("thing", "1.2", 64)]
    assert len(seen.digest) == 64


def test_a_file_that_was_changed_or_removed_is_named(tmp_path: Path) -> None:
    file = package(tmp_path) / "thing" / "a.py"
    file.write_bytes(b"print('hellp')\n")
    changed = installed.software(Release(), [str(tmp_path)])
    file.unlink()
    gone = installed.software(Release(), [str(tmp_path)])
    assert [(seen.state, seen.changed) for seen in (changed, gone)] == [("error", ("thing/a.py",))] * 2


def test_without_a_list_nothing_is_called_checked(tmp_path: Path) -> None:
    (package(tmp_path) / "thing-1.2.dist-info" / "RECORD").unlink()
    assert installed.software(Release(), [str(tmp_path)]).state == "unknown"
    assert installed.software(Release(), [str(tmp_path / "empty")]).state == "unknown"


def imported(model: str, **detail: str) -> Entry:
    return Entry(1, 0.0, "usr_x", "model-imported", model, dict(detail))


def test_models_are_compared_and_say_where_they_came_from(tmp_path: Path) -> None:
    for name in ("a", "b", "c", "d"):
        scripted.install(tmp_path, name, "chat")
    digest = {name: (found := manifest.read(tmp_path / name)).files[found.entry].sha256 for name in "abcd"}
    record = [
        imported("b", sha256=digest["b"], bundle="f" * 64),
        imported("c", sha256=digest["c"]),
        imported("d", sha256="0" * 64, bundle="f" * 64),  # not the file that came in the bundle
    ]
    seen = installed.models(tmp_path, record, check=True)
    assert seen.state == "ok"
    assert {model.id: (model.origin, model.bundle[:2]) for model in seen.models} == {
        "a": ("starter", ""), "b": ("signed", "ff"), "c": ("brought", ""), "d": ("brought", ""),
    }  # fmt: skip
    assert installed.models(tmp_path, record, check=False).why == "not-asked"


def test_a_model_that_was_altered_is_an_error(tmp_path: Path) -> None:
    scripted.install(tmp_path, "a", "chat")
    found = manifest.read(tmp_path / "a")
    file = tmp_path / "a" / found.entry
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    seen = installed.models(tmp_path, [], check=True)
    assert (seen.state, seen.about, seen.models[0].damaged) == ("error", ("model-damaged",), True)
