"""The shape of the repository: small modules that say what they are for, folders where they belong, no hosts named."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from appliance.config import REPOSITORY

HYPHENATED = ("offline-bundle", "firmware-scripts")
FOLDERS = {"appliance", "webui", "systemd", "tests", "requirements", ".ci", ".git", *HYPHENATED}
MODULE_LINES, DOOR_LINES = 400, 30
# In pieces, so that this file doesn't name them either.
HOSTS = tuple(
    ".".join(parts)
    for parts in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("npmjs", "com"), ("yarnpkg", "com"))
)
SKIPPED = {"node_modules", "__pycache__", "dist"}


def files(folder: Path) -> Iterator[Path]:
    """Every file of ours below a folder; what was installed or built is not."""
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            if path.name not in SKIPPED:
                yield from files(path)
        else:
            yield path


def ours() -> Iterator[Path]:
    for path in sorted(REPOSITORY.iterdir()):
        if path.is_dir() and path.name in FOLDERS - {".git"}:
            yield from files(path)
        elif path.is_file():
            yield path


def modules() -> list[Path]:
    return [path for name in ("appliance", "webui") for path in files(REPOSITORY / name) if path.suffix == ".py"]


def names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(REPOSITORY)) for path in paths]


def says_what_for(path: Path) -> bool:
    text = path.read_text("utf-8")
    docstring = ast.get_docstring(ast.parse(text), clean=False) or ""
    return text.startswith('"""') and bool(docstring.split("\n")[0].strip())


def test_every_module_says_in_its_first_line_what_it_is_for():
    assert not names([path for path in modules() if not says_what_for(path)])


def test_no_module_is_too_long():
    assert not names([path for path in modules() if len(path.read_text("utf-8").splitlines()) >= MODULE_LINES])


def test_no_file_names_the_host_of_a_package_registry():
    found = []
    for path in ours():
        text = path.read_bytes().decode("utf-8", "replace")
        found += [f"{path.relative_to(REPOSITORY)}: {host}" for host in HOSTS if host in text]
    assert not found


def test_folders_with_a_hyphen_hold_data_and_thin_doors():
    inside = [path for name in HYPHENATED if (REPOSITORY / name).is_dir() for path in files(REPOSITORY / name)]
    doors = [path for path in inside if path.read_bytes().startswith(b"#!")]
    assert not names([path for path in inside if path.suffix == ".py"])
    assert not names([path for path in doors if len(path.read_text("utf-8").splitlines()) > DOOR_LINES])


def test_the_top_level_holds_only_agreed_folders():
    ignored = set(re.findall(r"^/?([\w.-]+)/$", (REPOSITORY / ".gitignore").read_text("utf-8"), flags=re.MULTILINE))
    assert not {path.name for path in REPOSITORY.iterdir() if path.is_dir()} - FOLDERS - ignored
