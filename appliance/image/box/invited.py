"""The set-up code on the machine's screens: one for all of them, since each new one makes the one before worthless."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from appliance import durable

CODE: Final = Path("/run/hako-root/setup-code")
"""Root's alone, and gone with the next start, as what the box itself remembers of it before there is a vault."""

Ask = Callable[[str, str], Any]
"""`ask(method, path)`: what the box answers, None where it doesn't."""


class Invited:
    """Of one screen; another process has the other one. `vault`: the file that tells whether there is a vault."""

    def __init__(self, vault: Path, file: Path = CODE) -> None:
        self._vault, self._file, self._lock = vault, file, file.with_suffix(".lock")

    @property
    def code(self) -> str:
        """The one that counts; empty where none waits."""
        try:
            return self._file.read_text("ascii").strip()
        except OSError:
            return ""

    def look(self, ask: Ask) -> None:
        """A code while set-up waits for somebody, none afterwards."""
        said = ask("GET", "/api/v1/state")
        if not isinstance(said, dict):
            return
        if said.get("set_up") is True:
            self._file.unlink(missing_ok=True)
        elif self._vault.exists() and said.get("set_up") is not False:
            return  # sealed: whether somebody has an account can't be known
        else:
            with durable.alone(self._lock):
                if not self.code:  # made before there was a vault it goes on being good
                    self._make(ask)

    def renew(self, ask: Ask) -> None:
        """Another one, e.g. when somebody has read it who should not."""
        with durable.alone(self._lock):
            self._make(ask)

    def _make(self, ask: Ask) -> None:
        made = ask("POST", "/api/v1/setup-link" if self._vault.exists() else "/api/v1/first-setup")
        code = str(made.get("code") or "") if isinstance(made, dict) else ""
        if code:
            durable.replace(self._file, f"{code}\n".encode())
        else:
            self._file.unlink(missing_ok=True)
