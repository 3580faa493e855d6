"""Each check of the box: words in both languages for all it can say, and a row in the manual for each of its codes."""

import ast
import re
from pathlib import Path

import pytest

from appliance.health import box
from appliance.health.registry import BOX, PLAIN
from webui import locales
from webui.api.help_pages import FOLDER

SOURCES = Path(box.__path__[0])
CHECKS = {check.name: SOURCES / f"{type(check).__module__.rsplit('.', 1)[1]}.py" for check in (*BOX, *PLAIN)}


def strings(node: ast.AST | None) -> set[str]:
    """Every word that an expression could be."""
    if node is None:
        return set()
    return {part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str)}


def calls(path: Path, name: str) -> list[ast.Call]:
    tree = ast.parse(path.read_text("utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call) and getattr(node.func, "id", "") == name]


def test_each_code_belongs_to_one_check() -> None:
    found = [code for path in CHECKS.values() for code in set(re.findall(r"HK-HLT-\d{3}", path.read_text("utf-8")))]
    assert sorted(found) == [f"HK-HLT-{number:03}" for number in (*range(30, 60), 61)]


@pytest.mark.parametrize("language", locales.LANGUAGES)
@pytest.mark.parametrize("name", sorted(CHECKS))
def test_what_a_look_can_name_has_words_and_no_word_is_left_over(name: str, language: str) -> None:
    said = locales.catalogue(language)
    own = {key.removeprefix(f"health.{name}.") for key in said if key.startswith(f"health.{name}.")}
    source = CHECKS[name].read_text("utf-8")
    assert "title" in own
    for key in own - {"title"}:
        word = key.split(".")[1] if key.startswith(("value.", "note.")) else key.split(".")[0]
        assert f'"{word}"' in source or word in {"closed", "open", "unknown"}, key
    for call in calls(CHECKS[name], "Look"):
        named = {keyword.arg: keyword.value for keyword in call.keywords}
        named |= dict(zip(("check", "value", "note"), call.args, strict=False))
        for part in ("value", "note"):
            node = named.get(part)
            words = strings(node) if isinstance(node, ast.Constant | ast.IfExp) else set()
            assert {f"{part}.{word}" for word in words if word and word in source} <= own | {
                f"{part}.{word}" for word in strings(getattr(node, "test", None))
            }
    for call in calls(CHECKS[name], "Finding"):
        for word in strings(call.args[1]):
            assert {f"{word}.{part}" for part in ("title", "meaning", "advice")} <= own


@pytest.mark.parametrize("language", locales.LANGUAGES)
def test_each_code_has_its_row_in_the_manual(language: str) -> None:
    text = (FOLDER / language / "health.md").read_text("utf-8")
    rows = re.findall(r"^\| `(HK-HLT-0[3-6]\d)` \|", text, flags=re.MULTILINE)
    assert rows == [f"HK-HLT-{number:03}" for number in (*range(30, 60), 61)]
    titles = [locales.catalogue(language)[f"health.{name}.title"] for name in CHECKS]
    assert not [title for title in titles if f"| {title} |" not in text]
