"""The jail around a child: what an open file may become, and that no other can be opened."""

import subprocess
import sys
from pathlib import Path

import pytest

from appliance.config import REPOSITORY

CHILD = """
import os, sys
from appliance.machine import jail
assert set(jail.close(jail.Limits(1 << 30, 10, file_bytes=int(sys.argv[1])))) >= jail.REQUIRED
said = []
try:
    for _ in range(3):
        said.append(str(os.write(int(sys.argv[2]), b"0123456789")))
except OSError as error:
    said.append(f"errno {error.errno}")
try:
    os.open("/etc/hostname", os.O_RDONLY)
    said.append("opened")
except OSError:
    said.append("shut")
os.write(1, " ".join(said).encode())
os._exit(0)
"""


@pytest.mark.parametrize(
    ("limit", "said", "length"), [(0, "errno 27 shut", 0), (14, "10 4 errno 27 shut", 14), (100, "10 10 10 shut", 30)]
)
def test_a_file_that_is_open_grows_as_far_as_allowed_and_no_other_opens(
    tmp_path: Path, limit: int, said: str, length: int
) -> None:
    path = tmp_path / "out"
    with path.open("xb") as file:
        ran = subprocess.run(
            [sys.executable, "-c", CHILD, str(limit), str(file.fileno())],
            capture_output=True,
            text=True,
            pass_fds=[file.fileno()],
            cwd=REPOSITORY,
            check=False,
        )
    assert (ran.stdout, path.stat().st_size) == (said, length), ran.stderr
