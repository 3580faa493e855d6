"""A machine in qemu: an image on a disk of its own, one port of loopback that leads to 443, and its serial console."""

import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from appliance.errors import ImageStepError
from appliance.image import tools
from appliance.image.inspector import Inspector, Stage
from appliance.image.serial import Serial

NEEDED: Final = {"qemu-system-x86_64": "qemu-system-x86", "qemu-img": "qemu-utils"}
FIRMWARE: Final = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
VARIABLES: Final = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
DISK_GB: Final = 12
_BEFORE_TYPING_S: Final = 2.0


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

    def __init__(
        self, image: Path, folder: Path, tpm: Tpm | None = None, *, cores: int = 2, memory_mib: int = 3072
    ) -> None:
        if missing := tools.missing(NEEDED):
            raise ImageStepError("on Debian: apt-get install " + " ".join(missing), step="emulator")
        self.image, self.folder, self.tpm = image, folder, tpm
        self.cores, self.memory_mib = cores, memory_mib
        self.disk = folder / "disk.qcow2"
        self.port = 0
        self.stage: Stage | None = None
        """Started instead of what the disk's loader finds, with a shell at `inspector`."""
        self.sticks: list[Path] = []
        """Plugged in by USB before the start: raw images."""
        self._process: subprocess.Popen[bytes] | None = None
        self._console: Serial | None = None
        self._shell: Serial | None = None
        if not self.disk.exists():
            folder.mkdir(parents=True, exist_ok=True)
            behind = ("-b", image.absolute(), "-F", "raw")
            tools.run("disk", ["qemu-img", "create", "-q", "-f", "qcow2", *behind, self.disk, f"{DISK_GB}G"])
            shutil.copyfile(VARIABLES, folder / "variables.fd")

    @property
    def console(self) -> Serial:
        """Of the machine as it runs now."""
        assert self._console is not None
        return self._console

    @property
    def url(self) -> str:
        """Of its pages, as seen from here."""
        return f"https://127.0.0.1:{self.port}"

    @property
    def text(self) -> str:
        """All that the console has said since the last start."""
        return self.console.text

    def inspector(self) -> Inspector:
        """Of a machine that was started with a `stage`."""
        assert self._shell is not None
        return Inspector(self._shell)

    def start(self) -> None:
        """Switch it on. Nothing in it can reach anything; one port of loopback reaches its pages."""
        self.port = _free_port()
        console, shell = self.folder / "serial.sock", self.folder / "shell.sock"
        for path in (console, shell):
            path.unlink(missing_ok=True)
        if self.tpm is not None:
            self.tpm.start()
        self._process = subprocess.Popen(["qemu-system-x86_64", *self._words(console, shell)], stdin=subprocess.DEVNULL)
        self._console = Serial(console, self._is_alive)
        if self.stage is not None:
            self._shell = Serial(shell, self._is_alive)

    def _is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _words(self, console: Path, shell: Path) -> Sequence[str]:
        words = [
            "-machine", "q35,accel=tcg", "-cpu", "max", "-smp", str(self.cores), "-m", str(self.memory_mib),
            "-display", "none", "-monitor", "none", "-nodefaults", "-no-user-config", "-device", "virtio-rng-pci",
            "-drive", f"if=pflash,format=raw,readonly=on,file={FIRMWARE}",
            "-drive", f"if=pflash,format=raw,file={self.folder / 'variables.fd'}",
            "-drive", f"if=none,id=disk,format=qcow2,cache=writeback,file={self.disk}",
            "-device", "virtio-blk-pci,drive=disk,bootindex=1",
            "-netdev", f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{self.port}-:443",
            "-device", "virtio-net-pci,netdev=net", "-device", "qemu-xhci,id=usb",
            "-chardev", f"socket,id=serial,path={console},server=on,wait=off,logfile={self.folder / 'serial.log'}",
            "-serial", "chardev:serial",
        ]  # fmt: skip
        if self.tpm is not None:
            words += ["-chardev", f"socket,id=tpm,path={self.tpm.socket}", "-tpmdev", "emulator,id=tpm0,chardev=tpm",
                      "-device", "tpm-crb,tpmdev=tpm0"]  # fmt: skip
        for number, stick in enumerate(self.sticks):
            words += ["-drive", f"if=none,id=stick{number},format=raw,file={stick}",
                      "-device", f"usb-storage,bus=usb.0,drive=stick{number},removable=on"]  # fmt: skip
        if self.stage is not None:
            words += ["-chardev", f"socket,id=shell,path={shell},server=on,wait=off", "-serial", "chardev:shell",
                      *self.stage.words()]  # fmt: skip
        return words

    def expect(self, pattern: str, within_s: float) -> re.Match[str]:
        """Of the console, as `Serial.expect`."""
        return self.console.expect(pattern, within_s)

    def send(self, line: str) -> None:
        """Type a line, a moment after the question: it takes a while until nothing is shown of what is typed."""
        time.sleep(_BEFORE_TYPING_S)
        self.console.send(line)

    def kill(self) -> None:
        """As when the plug is pulled."""
        for serial in (self._console, self._shell):
            if serial is not None:
                serial.close()
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
