"""systemd's own services over D-Bus, by its tool `busctl`: what reaches them from a process without any network."""

import json
import subprocess
from collections.abc import Callable, Sequence
from typing import Any, Final

_WITHIN_S: Final = 30.0

Ask = Callable[[Sequence[str]], str]
"""Runs a command to its end; what it printed. Raises OSError or subprocess.SubprocessError where it fails."""


def ask(command: Sequence[str]) -> str:
    """On this machine."""
    done = subprocess.run(
        command,
        check=True,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=_WITHIN_S,
        stdin=subprocess.DEVNULL,
    )
    return done.stdout


class Bus:
    """`service` is named as `network1`, of `org.freedesktop.network1`."""

    def __init__(self, ask: Ask = ask) -> None:
        self._ask = ask

    def call(self, service: str, method: str) -> Any:
        """What a method of the service's manager answers, without arguments; None for nothing."""
        name, path = f"org.freedesktop.{service}", f"/org/freedesktop/{service}"
        said = self._ask(["busctl", "--json=short", "call", name, path, f"{name}.Manager", method])
        return json.loads(said)["data"][0] if said.strip() else None

    def properties(self, service: str, *names: str) -> dict[str, Any]:
        """Of the service itself."""
        name, path = f"org.freedesktop.{service}", f"/org/freedesktop/{service}"
        said = self._ask(["busctl", "--json=short", "get-property", name, path, name, *names])
        return dict(zip(names, (json.loads(line)["data"] for line in said.splitlines()), strict=True))
