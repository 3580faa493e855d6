"""A box as a container starts it, without the container: the first start, the way in, and the end."""

import re
import signal
from pathlib import Path

import httpx2
import pytest

from appliance.image.box import alive
from tests.simulators.served import RunningBox, free_port


class Contained(RunningBox):
    """Says a set-up code instead of a link, and writes its log to the terminal."""

    READY = "set-up code:"


def test_a_container_says_its_set_up_code_logs_to_the_terminal_and_ends_on_sigterm(tmp_path: Path) -> None:
    """About six seconds: all processes start."""
    port = free_port()
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "hako.toml").write_text(f"container = true\n[web]\nport = {port}\n", "utf-8")
    box = Contained(folder, port, "--container")
    box.start()
    first = re.search(r"set-up code: (\S+)", box.output)
    assert first
    newest = re.search(r"[0-9A-Z]{4}-[0-9A-Z]{4}", box.hako("setup-code").stdout)
    assert newest
    with httpx2.Client(base_url=box.url) as browser:
        assert browser.get("/chat").headers["Location"] == "/setup"
        page = browser.post("/setup", data={"step": "language", "language": "en", "token": ""}).text
        assert 'name="code"' in page
        for code, wanted in ((first[1], 'name="code"'), (newest[0], 'name="passphrase"')):
            assert wanted in browser.post("/setup", data={"step": "code", "code": code, "token": ""}).text
    assert alive.answers(folder)
    assert box.stop(signal.SIGTERM) == 0
    assert not (folder / "log" / "hako.log").exists()
    with pytest.raises((FileNotFoundError, ConnectionError)):
        alive.answers(folder)
