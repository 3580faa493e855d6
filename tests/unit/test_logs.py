"""Logs: no word of what people write gets in, whatever goes wrong, and they can't fill the disk."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from appliance import logs

SECRET = "Tanaka-4711"

HAPPENINGS = {
    "caught": f"try: raise ValueError('{SECRET}')\nexcept ValueError: log.exception('it_broke')",
    "main": f"raise ValueError('{SECRET}')",
    "thread": f"""
def crash(): raise ValueError('{SECRET}')
thread = threading.Thread(target=crash); thread.start(); thread.join()""",
    "cleanup": f"""
class Stubborn:
    def __del__(self): raise ValueError('{SECRET}')
Stubborn()""",
    "library": f"logging.getLogger('library').warning('odd', exc_info=ValueError('{SECRET}'))",
    "named": f"log.info('seen', text='{SECRET}', query='{SECRET}', passphrase='{SECRET}', Authorization='{SECRET}')",
}


@pytest.mark.parametrize("happening", HAPPENINGS)
def test_an_exception_is_told_without_its_words(happening: str) -> None:
    before = "import logging, threading\nfrom appliance import logs\nlogs.configure('test')\nlog = logs.get('test')\n"
    ran = subprocess.run(
        [sys.executable, "-c", before + HAPPENINGS[happening]], capture_output=True, text=True, check=False
    )
    (line,) = ran.stderr.strip().splitlines()
    told = json.loads(line)
    assert SECRET not in ran.stderr + ran.stdout
    assert told["process"] == "test"
    if happening != "named":
        assert told["exception"] == "ValueError"
    assert ran.returncode == (1 if happening == "main" else 0)


def test_a_log_that_is_full_is_put_aside_and_its_writers_go_on(tmp_path: Path) -> None:
    file = tmp_path / "hako.log"
    with file.open("ab") as writer:
        for number in range(3):
            logs.rotate(file, full_bytes=100)
            writer.write(b"%d" % number * 150)
            writer.flush()
        logs.rotate(file, full_bytes=1000)
    assert file.read_bytes() == b"2" * 150
    old = tmp_path / "hako.log.1"
    assert old.read_bytes() == b"1" * 150
    assert old.stat().st_mode & 0o777 == 0o600
    assert sorted(tmp_path.iterdir()) == [file, old]


def test_no_log_is_no_trouble(tmp_path: Path) -> None:
    logs.rotate(tmp_path / "none")
    assert list(tmp_path.iterdir()) == []
