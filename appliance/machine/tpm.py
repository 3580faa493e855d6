"""A counter in the machine's security chip (TPM 2.0), which grows and never goes back, whoever has the disk.

tpm2-tools speak to the chip. The place of the counter is in the range of the machine's owner.
"""

import shutil
import subprocess
from pathlib import Path
from typing import Final

DEVICE: Final = Path("/dev/tpmrm0")
_PLACE: Final = "0x01800b0c"
_BYTES: Final = 8
_ATTRIBUTES: Final = "nt=counter|ownerread|ownerwrite|authread|authwrite|no_da"
_PATH: Final = "/usr/bin:/bin"
_TIMEOUT_S: Final = 20
"""Real chips take up to a second for what is written."""


class TpmError(Exception):
    """The chip doesn't do what it was asked for. The message is the program's name."""


class TpmCounter:
    """Of one process at a time. `tcti`: how the tools reach the chip."""

    def __init__(self, tcti: str = f"device:{DEVICE}") -> None:
        self._tcti = tcti

    def value(self) -> int | None:
        """Where the counter stands; None while the chip has none. Raises TpmError."""
        if _PLACE[2:].lstrip("0") not in self._ask("tpm2_getcap", "handles-nv-index").decode().lower():
            return None
        return int.from_bytes(self._ask("tpm2_nvread", _PLACE, "-C", "o", "-s", str(_BYTES)), "big")

    def make(self) -> int:
        """Have a new one, and where it stands: never below what the chip has counted before. Raises TpmError."""
        self._ask("tpm2_nvdefine", _PLACE, "-C", "o", "-s", str(_BYTES), "-a", _ATTRIBUTES)
        self.increase()
        value = self.value()
        if value is None:
            raise TpmError("tpm2_nvread")
        return value

    def increase(self) -> None:
        """Count on. Raises TpmError."""
        self._ask("tpm2_nvincrement", _PLACE, "-C", "o")

    def forget(self) -> None:
        """Remove it: for a machine that is set up anew. Raises TpmError."""
        if self.value() is not None:
            self._ask("tpm2_nvundefine", _PLACE, "-C", "o")

    def _ask(self, program: str, *words: str) -> bytes:
        try:
            return subprocess.run(
                [program, *words],
                check=True,
                capture_output=True,
                timeout=_TIMEOUT_S,
                stdin=subprocess.DEVNULL,
                env={"PATH": _PATH, "TPM2TOOLS_TCTI": self._tcti, "TSS2_LOG": "all+none"},
            ).stdout
        except (OSError, subprocess.SubprocessError) as error:
            raise TpmError(program) from error


def counter() -> TpmCounter | None:
    """The one of this machine; None where it has no chip, or nothing that speaks to it."""
    return TpmCounter() if DEVICE.exists() and shutil.which("tpm2_nvread", path=_PATH) else None
