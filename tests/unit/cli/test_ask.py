"""What `hako ask` prints while an answer is written."""

from collections.abc import Iterator
from typing import Any

import pytest

from appliance.cli import ask
from appliance.cli.context import say


class Client:
    """The box, as far as it tells of one answer."""

    def events(self, _path: str, _body: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        yield "stage", {"stage": "writing"}
        yield "stage", {"stage": "thinking"}
        yield "thinking", {"text": "hm so"}
        yield "delta", {"text": "Yes."}
        yield "done", {"message": {"text": "Yes."}}


def test_thoughts_are_announced_beside_the_answer_and_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert ask.stream(Client(), {}) == {"text": "Yes."}  # type: ignore[arg-type]
    printed = capsys.readouterr()
    assert printed.out == "Yes.\n"
    assert printed.err == say("cli.ask.thinking") + "\n"
