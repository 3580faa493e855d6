"""The manual is whole: same pages in both languages, links that lead somewhere, nothing of the product left out."""

import re
from collections.abc import Iterator

import click
import pytest
from pydantic import BaseModel

from appliance.cli.main import main
from appliance.config import Settings
from webui import locales
from webui.api.help_pages import FOLDER, ORDER
from webui.api.me import FORMATS
from webui.dialects import lmstudio_request, ollama_embed, ollama_request
from webui.dialects.anthropic_request import MessagesBody
from webui.dialects.completions_request import CompletionBody
from webui.dialects.openai_request import ChatBody
from webui.dialects.responses_request import ResponsesBody

PAGES = [path for language in locales.LANGUAGES for path in sorted((FOLDER / language).glob("*.md"))]
WORDS = {"pdf": "PDF", "docx": "DOCX", "md": "Markdown", "html": "HTML", "txt": "TXT", "csv": "CSV"}
CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.DOTALL | re.MULTILINE)


def read(language: str, page: str) -> str:
    return (FOLDER / language / f"{page}.md").read_text("utf-8")


def prose(text: str) -> str:
    return CODE.sub("", text)


def commands(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        assert command.name == name
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def settings(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, field in model.model_fields.items():
        if isinstance(field.default, BaseModel):
            yield from settings(type(field.default), f"{prefix}{name}.")
        else:
            yield prefix + name, field.default


def test_both_languages_have_the_same_pages():
    japanese, english = ({path.name for path in (FOLDER / language).iterdir()} for language in ("ja", "en"))
    assert japanese == english
    assert japanese >= {f"{name}.md" for name in ("start", "chat", "documents", "security", "people", "errors")}


@pytest.mark.parametrize("page", sorted({path.name for path in PAGES}))
def test_a_page_has_the_same_shape_in_both_languages(page):
    shapes = [
        re.findall(r"^(#+ |```|\d+\. |- |\| )", (FOLDER / language / page).read_text("utf-8"), flags=re.MULTILINE)
        for language in locales.LANGUAGES
    ]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_page_begins_with_its_only_title(path):
    text = CODE.sub("", path.read_text("utf-8"))
    assert text.startswith("# ")
    assert len(re.findall(r"^# ", text, flags=re.MULTILINE)) == 1


@pytest.mark.parametrize("path", PAGES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_link_leads_to_a_page_of_the_manual(path):
    targets = re.findall(r"\]\(([^)]*)\)", prose(path.read_text("utf-8")))
    assert not [target for target in targets if not (path.parent / target).is_file()]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_page_keeps_the_tone(path):
    assert not re.findall(r"[!！]|あなた|please|successfully|[\U0001f000-\U0001faff]", prose(path.read_text("utf-8")))


@pytest.mark.parametrize("language", locales.LANGUAGES)
def test_every_command_and_option_is_in_the_manual(language):
    text = read(language, "cli")
    names = [option for _name, command in commands(main, "hako") for param in command.params for option in param.opts]
    missing = [name for name, _command in commands(main, "hako") if f"`{name}" not in text]
    missing += [name for name in names if name.startswith("-") and f"`{name}" not in text and f" {name}`" not in text]
    assert not missing


@pytest.mark.parametrize("language", locales.LANGUAGES)
def test_every_setting_is_in_the_manual_with_its_default(language):
    rows = dict(re.findall(r"^\| `([\w.]+)` \| (.+?) \|", read(language, "operate"), flags=re.MULTILINE))
    known = dict(settings(Settings))
    assert set(rows) == set(known)
    plain = {name: str(value).lower() if isinstance(value, bool) else value for name, value in known.items()}
    shown = {name: value for name, value in plain.items() if isinstance(value, str | int) and value != ""}
    assert not {name: rows[name] for name, value in shown.items() if rows[name] != f"`{value}`"}


@pytest.mark.parametrize("language", locales.LANGUAGES)
def test_every_format_is_in_the_manual(language):
    assert not [name for name in FORMATS if WORDS[name] not in read(language, "documents")]


@pytest.mark.parametrize("language", locales.LANGUAGES)
def test_every_field_of_a_chat_request_is_in_the_manual(language):
    text = read(language, "api")
    assert not [name for name in ChatBody.model_fields if f"`{name}`" not in text]
    later = text.split("`/v1/completions` ", 1)[1]
    completions, messages = later.split("ANTHROPIC_BASE_URL", 1)
    assert not [name for name in CompletionBody.model_fields if f"`{name}`" not in completions]
    assert not [name for name in MessagesBody.model_fields if f"`{name}`" not in messages.split("OLLAMA_HOST")[0]]


@pytest.mark.parametrize("language", locales.LANGUAGES)
def test_every_field_of_a_response_is_in_the_manual(language):
    section = read(language, "api").split("`POST /v1/responses/ID/cancel`", 1)[1].split("\n## ", 1)[0]
    assert not [name for name in ResponsesBody.model_fields if f"`{name}`" not in section]


@pytest.mark.parametrize("language", locales.LANGUAGES)
def test_every_field_of_ollamas_requests_is_in_the_manual(language):
    text = read(language, "api").split("OLLAMA_HOST", 1)[1]
    bodies = (ollama_request.ChatBody, ollama_request.GenerateBody, ollama_request.Options, ollama_embed.EmbedBody)
    assert not [name for body in bodies for name in body.model_fields if f"`{name}`" not in text]


@pytest.mark.parametrize("language", locales.LANGUAGES)
def test_every_field_of_lm_studios_chat_is_in_the_manual(language):
    text = read(language, "api").split("`/api/v1`", 1)[1]
    assert not [name for name in lmstudio_request.ChatBody.model_fields if f"`{name}`" not in text]


def test_every_page_has_its_place_in_the_contents() -> None:
    assert {path.stem for path in PAGES} == set(ORDER)
