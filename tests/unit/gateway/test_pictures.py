"""Pictures in the body of a chat: one form for all, nothing that would be fetched, bounds, and only for who can see."""

import base64
from dataclasses import dataclass
from typing import Any

import pytest

from appliance.errors import (
    BadInputError,
    HakoError,
    NoVisionError,
    PictureAddressError,
    PictureError,
    PictureTooLargeError,
    TooManyPicturesError,
)
from appliance.gateway import picture_heads, pictures
from appliance.gateway.pictures import checked
from tests.simulators import vision


@dataclass
class Model:
    vision: bool
    name: str = "Eye"


def body(*parts: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(parts)}], "temperature": 0}


def refused(url: Any) -> HakoError:
    with pytest.raises(HakoError) as told:
        checked(body({"type": "image_url", "image_url": {"url": url}}))
    assert told.value.params["field"] == "messages"
    return told.value


def test_a_body_without_pictures_stays_as_it_is() -> None:
    for plain in ({"messages": [{"role": "user", "content": "hi"}]}, {"prompt": "hi"}, {"messages": []}):
        assert checked(plain) == (plain, frozenset())


def test_all_pictures_come_out_in_one_form_with_the_kind_that_they_really_are() -> None:
    data = base64.b64encode(vision.png()).decode()
    shouted = f"DATA:image/WEBP;name=a.webp;base64,{data[:20]}\r\n {data[20:]}"
    parts = [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": shouted, "detail": "high"}}]
    found, kinds = checked(body(*parts, vision.part(vision.jpeg(), "png")))
    text, first, second = found["messages"][0]["content"]
    assert (text, kinds, found["temperature"]) == ({"type": "text", "text": "a"}, {"png", "jpeg"}, 0)
    assert first == {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
    assert second["image_url"]["url"].startswith("data:image/jpeg;base64,")


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/x.png", "https://example.com/x.png", "file:///etc/passwd", "/etc/passwd", "ftp://x/y.png",
        "javascript:alert(1)", "", base64.b64encode(vision.png()).decode(), " data:image/png;base64,",
    ],
)  # fmt: skip
def test_nothing_is_ever_fetched(url: str) -> None:
    assert isinstance(refused(url), PictureAddressError)


@pytest.mark.parametrize(
    "url",
    [
        "data:", "data:,x", "data:image/png,x", "data:text/html;base64,aGk=", "data:audio/wav;base64,aGk=",
        "data:video/mp4;base64,aGk=", "data:image/png;base64,",
        "data:image/png;base64,aGk=", "data:image/png;base64,!!!!", "data:image/png;base64,aGk", None, 7, ["x"],
        "data:image/png;base64," + base64.b64encode(vision.png()[:-20]).decode(), "data:image/png;base64,あ",
    ],
)  # fmt: skip
def test_what_is_no_whole_picture_is_refused(url: Any) -> None:
    assert isinstance(refused(url), PictureError)


def test_an_address_may_stand_alone_and_other_parts_are_refused() -> None:
    assert checked(body({"type": "image_url", "image_url": vision.url(vision.png())}))[1] == {"png"}
    for part in ({"type": "input_audio", "input_audio": {"data": "x"}}, {"type": "text", "text": 5}, {}):
        with pytest.raises(BadInputError):
            checked(body(vision.part(vision.png()), part))
        with pytest.raises(BadInputError):
            checked(body(part))


def test_bytes_and_pixels_have_bounds_before_anything_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    look = picture_heads.look
    monkeypatch.setattr(picture_heads, "look", lambda data: looked.append(len(data)) or look(data))
    error = refused("data:image/png;base64," + "A" * (14 << 20))
    assert (type(error), looked) == (PictureTooLargeError, [])
    assert (error.params["limit_mb"], error.params["limit_mp"], error.status) == (10, 50, 413)
    assert isinstance(refused(vision.url(vision.png_of(1 << 20, 1 << 20, b""))), PictureTooLargeError)


def test_pixels_count_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "_ALL_PIXELS_MAX", 3 * 24 * 16)
    part = vision.part(vision.png())
    assert checked(body(part, part, part))[1] == {"png"}
    with pytest.raises(PictureTooLargeError):
        checked({"messages": body(part, part)["messages"] * 2})


def test_only_so_many_pictures_fit_in_a_request() -> None:
    part = vision.part(vision.png())
    checked({"messages": body(*[part] * 16)["messages"] * 2})
    with pytest.raises(TooManyPicturesError) as told:
        checked({"messages": [*body(*[part] * 32)["messages"], *body({"type": "image_url"})["messages"]]})
    assert told.value.params["limit"] == 32


def test_a_model_without_a_projector_is_not_asked_and_no_engine_here_reads_webp() -> None:
    pictures.demand_sight(Model(vision=False), frozenset())
    pictures.demand_sight(Model(vision=True), frozenset({"png", "jpeg", "gif"}))
    with pytest.raises(NoVisionError) as told:
        pictures.demand_sight(Model(vision=False), frozenset({"png"}))
    assert told.value.params == {"name": "Eye"}
    assert checked(body(vision.part(vision.webp())))[1] == {"webp"}
    with pytest.raises(PictureError):
        pictures.demand_sight(Model(vision=True), frozenset({"png", "webp"}))


def test_words_and_guesses_leave_out_what_pictures_are_made_of() -> None:
    messages = [vision.seen("hello", vision.png(), vision.png()), {"role": "assistant", "content": "yes"}]
    assert [pictures.words(message) for message in messages] == ["hello", "yes"]
    assert pictures.words({"role": "user", "content": None}) == ""
    told, tokens = pictures.guessed(messages)
    assert ([message["content"] for message in told], tokens) == (["hello", "yes"], 2000)
    assert pictures.guessed(None) == (None, 0)
