"""Pictures and the real engine: a tiny llama with a tiny projector answers to real pictures in a real child."""

import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.errors import ContextTooLongError, ModelDamagedError, PictureError
from appliance.gateway import pictures
from appliance.gateway.counting import fitted, prompt_tokens
from appliance.inference.manifest import Manifest, ModelFile
from tests.simulators import gguf, llama, vision
from tests.simulators.llama import Connect

RED, GREEN = vision.png((220, 20, 20)), vision.png((20, 200, 20))
FILE = ModelFile(sha256="0" * 64, size=1)
EYE = Manifest(
    id="eye", name="Eye", kind="chat", engine="llama", files={"eye.gguf": FILE, "mmproj-eye.gguf": FILE},
    entry="eye.gguf", projector="mmproj-eye.gguf", licence="CC0-1.0", source="here", languages=("en",), context=512,
)  # fmt: skip
HERE = {"projector": "mmproj-eye.gguf", "context": 512}
CACHED = {"cache_prompt": True}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("v")
    vision.tiny_projector(folder / "mmproj-eye.gguf")
    return gguf.tiny_llama(folder / "eye.gguf")


@pytest.fixture(scope="module")
def eye(file: Path) -> Iterator[Connect]:
    with llama.serving("eye", file, **HERE) as connect:
        yield connect


def answer(eye: Connect, *messages: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The most likely one, of 12 tokens, computed afresh; the pictures go the gateway's way."""
    body, _kinds = pictures.checked(
        {"messages": messages, "temperature": 0, "max_tokens": 12, "cache_prompt": False} | more
    )
    with eye() as connection:
        return connection.json("/v1/chat/completions", body)


def text(answered: dict[str, Any]) -> str:
    said: str = answered["choices"][0]["message"]["content"]
    return said


def test_the_same_picture_is_answered_the_same_and_another_one_otherwise(eye: Connect) -> None:
    blind, red, again, green = (answer(eye, vision.seen("hello", *shown)) for shown in ((), (RED,), (RED,), (GREEN,)))
    assert text(red) == text(again) != text(green)
    assert text(blind) not in (text(red), text(green))
    # One more: the line that lies between the words and the picture.
    assert red["usage"]["prompt_tokens"] == blind["usage"]["prompt_tokens"] + vision.TOKENS + 1


def test_every_picture_of_a_chat_is_seen_where_it_lies(eye: Connect) -> None:
    one = answer(eye, vision.seen("a", RED))["usage"]["prompt_tokens"]
    two = answer(eye, vision.seen("a", RED, GREEN))["usage"]["prompt_tokens"]
    assert two == one + vision.TOKENS
    chat = [vision.seen("a", RED), {"role": "assistant", "content": "b"}, vision.seen("c", GREEN)]
    other = [vision.seen("a", GREEN), {"role": "assistant", "content": "b"}, vision.seen("c", RED)]
    assert text(answer(eye, *chat)) != text(answer(eye, *other))


@pytest.mark.parametrize(
    "picture", [vision.jpeg(40, 24), vision.gif(9, 7), vision.png(width=300, height=1)], ids=["jpeg", "gif", "png"]
)
def test_each_kind_that_is_let_through_is_decoded(eye: Connect, picture: bytes) -> None:
    shown = answer(eye, vision.seen("hello", picture))
    assert shown["usage"]["prompt_tokens"] > vision.TOKENS
    assert text(shown)


def test_a_picture_as_large_as_may_be_reaches_the_engine(eye: Connect) -> None:
    rows = b"".join(b"\0" + os.urandom(3 * 2000) for _ in range(1700))
    large = vision.png_of(2000, 1700, zlib.compress(rows, 0))
    assert 9 << 20 < len(large) <= pictures.BYTES_MAX
    assert text(answer(eye, vision.seen("hello", large)))


def test_a_picture_that_was_read_already_is_not_read_again(eye: Connect) -> None:
    asked = vision.seen("remember this one", RED)
    answer(eye, asked, **CACHED)
    again = answer(eye, asked, **CACHED)
    assert again["timings"]["cache_n"] == again["usage"]["prompt_tokens"] - 1
    longer = answer(
        eye, asked, {"role": "assistant", "content": "yes"}, {"role": "user", "content": "and now"}, **CACHED
    )
    assert longer["timings"]["cache_n"] >= vision.TOKENS
    other = answer(eye, vision.seen("remember this one", GREEN), **CACHED)
    assert other["timings"]["cache_n"] <= again["timings"]["cache_n"] - vision.TOKENS  # only the words before it


def test_tokens_are_counted_as_the_engine_has_them(eye: Connect) -> None:
    for messages in ([vision.seen("hello", RED, GREEN)], [{"role": "system", "content": "s"}, vision.seen("x", RED)]):
        with eye() as connection:
            counted = prompt_tokens(connection, EYE, {"messages": messages}, None)
        assert counted == answer(eye, *messages)["usage"]["prompt_tokens"]


def test_a_chat_that_is_too_long_loses_whole_messages_and_never_half_a_picture(eye: Connect) -> None:
    turns = [
        message
        for turn in range(12)
        for message in (vision.seen(f"look at {turn}", RED), {"role": "assistant", "content": "yes " * 8})
    ]
    body: dict[str, Any] = {"messages": [*turns, vision.seen("and this", GREEN)], "max_tokens": 16}
    with pytest.raises(ContextTooLongError):
        answer(eye, *body["messages"])
    for policy in ("rolling", "middle"):
        with eye() as connection:
            cut, left_out = fitted(connection, EYE, body, policy, 512, None)
        assert 0 < left_out == len(body["messages"]) - len(cut["messages"])
        assert all(message in body["messages"] for message in cut["messages"])
        assert cut["messages"][-1] == body["messages"][-1]
        assert answer(eye, *cut["messages"])["usage"]["prompt_tokens"] <= 512 - 16
    assert cut["messages"][0] == body["messages"][0]


def test_guessing_the_next_words_leaves_answers_to_pictures_as_they_are(eye: Connect, file: Path) -> None:
    asked = [vision.seen("abc abc abc abc", RED), {"role": "assistant", "content": "abc"}, vision.seen("d", GREEN)]
    expected = [text(answer(eye, *asked, max_tokens=60)), text(answer(eye, vision.seen("x", RED), max_tokens=60))]
    with llama.serving("eye", file, **HERE, speculation="ngram") as quick:
        found = [text(answer(quick, *asked, max_tokens=60)), text(answer(quick, vision.seen("x", RED), max_tokens=60))]
    assert found == expected


def test_an_operators_template_shows_pictures_too(file: Path) -> None:
    template = "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}[assistant]"
    with llama.serving("eye", file, **HERE, template=template) as eye:
        blind, red = (answer(eye, vision.seen("hello", *shown)) for shown in ((), (RED,)))
    assert red["usage"]["prompt_tokens"] > blind["usage"]["prompt_tokens"] + vision.TOKENS - 1


def test_what_can_not_be_decoded_is_told_and_no_other_program_gets_to_see_it(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = tmp_path / "ran"
    for name in ("ffprobe", "ffmpeg"):
        (tmp_path / name).write_text(f"#!/bin/sh\necho >> {ran}\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    broken = RED[:-30] + bytes(30)
    with llama.serving("eye", file, **HERE) as eye:
        for data in (broken, vision.webp(), b"hello"):
            body = {"messages": [vision.seen("x", data)], "max_tokens": 2}
            for path in ("/v1/chat/completions", "/v1/chat/completions/input_tokens"):
                with eye() as connection, pytest.raises(PictureError):
                    connection.json(path, body)
        assert text(answer(eye, vision.seen("x", RED)))
    assert not ran.exists()


def test_a_projector_that_only_the_engine_refuses_is_told_as_damage(file: Path, tmp_path: Path) -> None:
    model = gguf.tiny_llama(tmp_path / "eye.gguf")
    lame = [tensor for tensor in vision.projector_tensors() if tensor.name != "v.blk.1.ffn_up.weight"]
    (tmp_path / "lame.gguf").write_bytes(gguf.build(vision.projector_entries(), lame))
    vision.tiny_projector(tmp_path / "wide.gguf", width=64)
    for name in ("lame.gguf", "wide.gguf"):
        with pytest.raises(ModelDamagedError), llama.running("eye", model, projector=name, context=512):
            pass
