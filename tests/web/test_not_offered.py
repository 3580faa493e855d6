"""OpenAI's addresses for what the box hasn't got: each says so in OpenAI's shape to who has a key."""

import io

import pytest

from tests.simulators.box import Person, TestBox

SOUND = [("POST", f"audio/{name}") for name in ("speech", "transcriptions", "translations")]
OTHERS = [
    ("POST", "images/generations"),
    ("POST", "images/edits"),
    ("POST", "images/variations"),
    ("POST", "moderations"),
    ("GET", "files"),
    ("POST", "files"),
    ("GET", "files/file-1/content"),
    ("DELETE", "files/file-1"),
    ("POST", "batches"),
    ("POST", "batches/batch_1/cancel"),
    ("GET", "fine_tuning/jobs"),
]


@pytest.mark.parametrize(("method", "path"), SOUND + OTHERS)
def test_each_says_that_it_is_not_offered(bob: Person, box: TestBox, method: str, path: str) -> None:
    answer = bob.open(f"//v1/{path}", method=method, json={"model": "tts-1", "input": "hello"})
    error = answer.get_json()["error"]
    assert (answer.status_code, error["type"]) == (404, "invalid_request_error")
    assert error["code"] == ("HK-MOD-061" if (method, path) in SOUND else "HK-MOD-062")
    stranger = box.app.test_client().open(f"/v1/{path}", method=method, headers={"Authorization": "Bearer hako_no"})
    assert (stranger.status_code, stranger.get_json()["error"]["code"]) == (401, "HK-AUTH-001")


class Recording(io.RawIOBase):
    """A recording of which nobody may read a byte."""

    size = 100 << 20
    at = 0

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self.at = offset + (self.size if whence == io.SEEK_END else 0)
        return self.at

    def readinto(self, _buffer: object) -> int:
        raise AssertionError("was read")


def test_a_recording_is_refused_unread(bob: Person) -> None:
    answer = bob.post(
        "//v1/audio/transcriptions",
        input_stream=Recording(),
        content_type="multipart/form-data; boundary=x",
    )
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (404, "HK-MOD-061")
