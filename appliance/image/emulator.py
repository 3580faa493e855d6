"""A machine in qemu: an image on a disk of its own, one port of loopback that leads to 443, and its serial console."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from appliance.errors import BootTestError, ImageStepError
from appliance.image import tools

NEEDED: Final = {"qemu-system-x86_64": "qemu-system-x86", "qemu-img": "qemu-utils"}
FIRMWARE: Final = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
VARIABLES: Final = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
DISK_GB: Final = 12
_LOOK_S: Final = 0.2
_BEFORE_TYPING_S: Final = 2.0
_TERMINAL: Final = re.compile(r"\x1b(\[[0-9;?=]*[A-Za-z]|[()][A-Z0-9]|[=>c78])|\r")


class Tpm:
    """A TPM of its own state; another folder is another machine's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "swtpm.sock"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Raises ImageStepError: it isn't installed."""
        if shutil.which("swtpm") is None:
            raise ImageStepError("on Debian: apt-get install swtpm", step="tpm")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.socket.unlink(missing_ok=True)
        words = [
            "swtpm",
            "socket",
            "--tpm2",
            "--tpmstate",
            f"dir={self.folder}",
            "--ctrl",
            f"type=unixio,path={self.socket}",
        ]
        self._process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        until = time.monotonic() + 10
        while not self.socket.exists() and time.monotonic() < until:
            time.sleep(0.1)

    def stop(self) -> None:
        """It ends with its machine; what is left is ended."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)


class Machine:
    """Its disk stays from one start to the next; `kill` is a power cut."""

    def __init__(self, image: Path, folder: Path, tpm: Tpm | None = None, memory_mib: int = 3072) -> None:
        if missing := tools.missing(NEEDED):
            raise ImageStepError("on Debian: apt-get install " + " ".join(missing), step="emulator")
        self.image, self.folder, self.tpm, self.memory_mib = image, folder, tpm, memory_mib
        self.disk = folder / "disk.qcow2"
        self.port = 0
        self.text = ""
        """All that the serial console has said since the last start."""
        self._seen = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._serial: socket.socket | None = None
        if not self.disk.exists():
            folder.mkdir(parents=True, exist_ok=True)
            behind = ("-b", image.absolute(), "-F", "raw")
            tools.run("disk", ["qemu-img", "create", "-q", "-f", "qcow2", *behind, self.disk, f"{DISK_GB}G"])
            shutil.copyfile(VARIABLES, folder / "variables.fd")

    def start(self) -> None:
        """Switch it on. Nothing in it can reach anything; one port of loopback reaches its pages."""
        self.port, self.text, self._seen = _free_port(), "", 0
        serial = self.folder / "serial.sock"
        serial.unlink(missing_ok=True)
        if self.tpm is not None:
            self.tpm.start()
        self._process = subprocess.Popen(
            ["nice", "-n", "19", "qemu-system-x86_64", *self._words(serial)], stdin=subprocess.DEVNULL
        )
        until = time.monotonic() + 30
        while self._serial is None:
            fresh = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                fresh.connect(os.fspath(serial))
                self._serial = fresh
                threading.Thread(target=self._listen, args=(fresh,), daemon=True).start()
            except OSError:
                fresh.close()
                if time.monotonic() > until or self._process.poll() is not None:
                    raise BootTestError("no serial console", step="start") from None
                time.sleep(0.2)

    def _words(self, serial: Path) -> Sequence[str]:
        words = [
            "-machine", "q35,accel=tcg", "-cpu", "max", "-smp", "2", "-m", str(self.memory_mib), "-display", "none",
            "-monitor", "none", "-nodefaults", "-no-user-config", "-device", "virtio-rng-pci",
            "-drive", f"if=pflash,format=raw,readonly=on,file={FIRMWARE}",
            "-drive", f"if=pflash,format=raw,file={self.folder / 'variables.fd'}",
            "-drive", f"if=none,id=disk,format=qcow2,cache=writeback,file={self.disk}",
            "-device", "virtio-blk-pci,drive=disk,bootindex=1",
            "-netdev", f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{self.port}-:443",
            "-device", "virtio-net-pci,netdev=net",
            "-chardev", f"socket,id=serial,path={serial},server=on,wait=off,logfile={self.folder / 'serial.log'}",
            "-serial", "chardev:serial",
        ]  # fmt: skip
        if self.tpm is not None:
            words += ["-chardev", f"socket,id=tpm,path={self.tpm.socket}", "-tpmdev", "emulator,id=tpm0,chardev=tpm",
                      "-device", "tpm-crb,tpmdev=tpm0"]  # fmt: skip
        return words

    def expect(self, pattern: str, within_s: float) -> re.Match[str]:
        """Wait until the console says so, behind what was found before.

        Raises:
            BootTestError: it has not, or the machine has ended; the last of what it said is the detail.
        """
        until = time.monotonic() + within_s
        wanted = re.compile(pattern)
        while True:
            found = wanted.search(self.text, self._seen)
            if found:
                self._seen = found.end()
                return found
            if time.monotonic() > until or self._process is None or self._process.poll() is not None:
                raise BootTestError(self.text[-3000:], step=f"console: {pattern}")
            time.sleep(_LOOK_S)

    def _listen(self, serial: socket.socket) -> None:
        """All the time: a console that nobody reads stands still after a few hundred letters."""
        with contextlib.suppress(OSError):
            while said := serial.recv(65536):
                self.text += _TERMINAL.sub("", said.decode("utf-8", "replace"))

    def send(self, line: str) -> None:
        """Type a line, a moment after the question: it takes a while until nothing is shown of what is typed."""
        assert self._serial is not None
        time.sleep(_BEFORE_TYPING_S)
        self._serial.sendall(line.encode() + b"\r")

    def kill(self) -> None:
        """As when the plug is pulled."""
        if self._serial is not None:
            with contextlib.suppress(OSError):
                self._serial.shutdown(socket.SHUT_RDWR)
            self._serial.close()
            self._serial = None
        if self._process is not None:
            if self._process.poll() is None:
                self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None
        if self.tpm is not None:
            self.tpm.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


def flip(disk: Path, at: int) -> None:
    """Change one byte of a machine's disk that is off, as a dying disk or a thief does.

    Raises:
        ImageStepError: qemu's tool has failed.
    """
    said = tools.run("flip", ["qemu-io", "-f", "qcow2", "-c", f"read -v {at} 1", disk])
    found = re.search(r"^[0-9a-f]{8}:\s+([0-9a-f]{2})", said, re.MULTILINE)
    if found is None:
        raise ImageStepError(said[-300:], step="flip")
    changed = int(found.group(1), 16) ^ 0xFF
    tools.run("flip", ["qemu-io", "-f", "qcow2", "-c", f"write -P {changed} {at} 1", disk])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
