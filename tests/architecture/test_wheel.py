"""The wheel check finds what it is there to find; the real wheel is checked where one is built."""

import json
import zipfile
from pathlib import Path

import pytest

from tests.architecture import wheel

MANIFEST = {"src/main.ts": {"file": "assets/main.js", "css": ["assets/main.css"]}}
WHOLE = {
    **dict.fromkeys(wheel.NEEDED, "x"),
    wheel.NEEDED[0]: json.dumps(MANIFEST),
    wheel.DIST + "assets/main.js": "",
    wheel.DIST + "assets/main.css": "",
    "appliance/__init__.py": "",
    "webui/__init__.py": "",
    "webui/locales.py": "def catalogue(language):\n    return {'key': language}\n",
    "hako_appliance-0.dist-info/licenses/LICENSE": "",
}


def packed(folder: Path, contents: dict[str, str]) -> Path:
    path = folder / "hako_appliance-0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in contents.items():
            archive.writestr(name, text)
    return path


def test_a_whole_wheel_passes(tmp_path, capsys):
    assert wheel.main([str(packed(tmp_path, WHOLE))]) == 0
    assert "complete" in capsys.readouterr().out


@pytest.mark.parametrize("name", [*wheel.NEEDED[1:], wheel.DIST + "assets/main.css"])
def test_a_missing_file_is_named(tmp_path, name):
    contents = {key: text for key, text in WHOLE.items() if key != name}
    assert any(sentence.startswith(name) for sentence in wheel.complaints(packed(tmp_path, contents)))


def test_a_wheel_without_the_pages_or_the_licence_is_refused(tmp_path):
    contents = {key: text for key, text in WHOLE.items() if key != wheel.NEEDED[0] and "LICENSE" not in key}
    assert len(list(wheel.complaints(packed(tmp_path, contents)))) == 2


@pytest.mark.parametrize(
    "name",
    ["webui/frontend/package.json", "tests/conftest.py", "appliance/model.gguf", "appliance/sentencepiece.model"],
)
def test_a_foreign_file_is_refused(tmp_path, capsys, name):
    assert wheel.main([str(packed(tmp_path, {**WHOLE, name: ""}))]) == 1
    assert name in capsys.readouterr().out


def test_a_huge_file_is_refused(tmp_path):
    path = packed(tmp_path, {**WHOLE, "appliance/data.json": "0" * (wheel.LARGEST_BYTES + 1)})
    assert any("data.json has" in sentence for sentence in wheel.complaints(path))


def test_a_module_that_does_not_import_is_refused(tmp_path, capsys):
    assert wheel.main([str(packed(tmp_path, {**WHOLE, "appliance/broken.py": "import no_such_module_here"}))]) == 1
    assert "no_such_module_here" in capsys.readouterr().out


def test_what_is_no_wheel_is_refused(tmp_path, capsys):
    path = tmp_path / "some.whl"
    path.write_bytes(b"no zip")
    assert wheel.main([str(path)]) == 1
    assert "can't be opened" in capsys.readouterr().out


def test_no_wheel_at_all_is_refused(capsys):
    assert wheel.main([]) == 2
    assert capsys.readouterr().out
