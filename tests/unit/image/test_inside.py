"""What a boot test asks a running machine: each look notices what is not as it should be."""

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.errors import BootTestError
from appliance.image import inside
from appliance.image.inspector import Inspector
from appliance.image.serial import Serial


class Shell(Inspector):
    """Answers as a machine would that is as it should be, but for what a test says."""

    def __init__(self, **other: tuple[int, str]) -> None:
        self.other, self.refused = other, 0

    def ask(self, command: str, within_s: float = 1.0) -> tuple[int, str]:
        for word, answer in self.other.items():
            if word in command:
                return answer
        if "create_connection" in command:
            self.refused += 1
            return 1, "PermissionError"
        if "list counters" in command:
            counters = [{"counter": {"name": name, "packets": self.refused}} for name in inside.COUNTERS]
            return 0, json.dumps({"nftables": [{"metainfo": {}}, *counters]})
        return next((answer for word, answer in SOUND.items() if word in command), (1, command))


CHAINS = "".join(
    f"type filter hook {chain} priority filter; policy drop;\n" for chain in ("input", "output", "forward")
)
LISTENING = """udp UNCONN 0 0 10.0.2.15%enp0s3:68 0.0.0.0:*
tcp LISTEN 0 512 *:443 *:*
tcp LISTEN 0 9 127.0.0.1:81 0.0.0.0:*
"""
SOUND = {
    "is-system-running": (0, "running\n"),
    "--failed": (0, ""),
    "list table": (0, CHAINS),
    "ss ": (0, LISTENING),
    "lockdown": (0, "none [integrity] confidentiality\n"),
    "veritysetup": (0, "  status:      verified\n"),
    "cryptsetup": (0, "  type:    LUKS2\n"),
    "airgap": (0, "Proof of the air gap\n\n✓ Firewall\n  The rules.\n\n? Installed models\n"),
    "is-active": (0, "active\n"),
    "usbguard": (0, "block\n"),
}


def test_a_machine_as_it_should_be_passes_and_its_refusals_are_counted(tmp_path: Path) -> None:
    settings = tmp_path / "60.conf"
    settings.write_text("# Why.\nkernel.sysrq = 0\nfs.suid_dumpable = 0\n")
    shell = Shell(**{"/proc/sys": (0, "0\n0\n")})
    inside.rest(shell)
    inside.disk(shell)
    inside.ports(shell)
    inside.usb(shell)
    assert inside.kernel(shell, settings) == 2
    assert inside.firewall(shell)["egress_refused"] == 1
    assert "1 parts hold; not looked at: Installed models" in inside.airgap(shell)


def test_the_settings_that_are_looked_for_are_those_of_the_image() -> None:
    said = inside.SYSCTLS.read_text("ascii")
    shell = Shell(**{"/proc/sys": (0, "".join(f"{line.split(' = ')[1]}\n" for line in said.splitlines()[1:]))})
    assert inside.kernel(shell) == len(said.splitlines()) - 1


@pytest.mark.parametrize(
    ("look", "word", "said"),
    [
        (inside.rest, "--failed", "usbguard.service loaded failed\n"),
        (inside.firewall, "list table", CHAINS.replace("policy drop", "policy accept", 1)),
        (inside.firewall, "create_connection", ""),
        (inside.ports, "ss ", "tcp LISTEN 0 128 0.0.0.0:22 0.0.0.0:* \n"),
        (inside.usb, "get-parameter", "allow\n"),
        (inside.disk, "veritysetup", "  status:      corrupted\n"),
        (inside.disk, "/etc/hostname", ""),
        (inside.airgap, "airgap", "✓ Firewall\n\n! Listening and connected sockets\n"),
        (inside.airgap, "airgap", "not a report\n"),
        (inside.kernel, "/proc/sys", "1\n" * 30),
    ],
)
def test_what_is_not_as_it_should_be_is_told(look: object, word: str, said: str) -> None:
    lines = len([line for line in inside.SYSCTLS.read_text("ascii").splitlines() if not line.startswith("#")])
    shell = Shell(**{word: (0, "9\n" * lines if word == "/proc/sys" else said)})
    with pytest.raises(BootTestError):
        look(shell)  # type: ignore[operator]


@pytest.fixture
def line(tmp_path: Path) -> Iterator[tuple[Serial, socket.socket]]:
    """A serial line, and the machine's end of it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(tmp_path / "serial"))
        server.listen()
        serial = Serial(tmp_path / "serial", lambda: True)
        machine, _ = server.accept()
        with machine:
            yield serial, machine
            serial.close()


def test_a_line_is_read_without_the_terminals_own_words_and_letters_that_come_in_halves(
    line: tuple[Serial, socket.socket],
) -> None:
    serial, machine = line
    machine.sendall("\x1b[0;1mNew pass\x1b[0m: \r\n夜".encode()[:-1])
    machine.sendall("夜".encode()[-1:] + b" state  new\n")
    assert serial.expect(r"pass: \n(\S)", 5).group(1) == "夜"
    serial.expect(r"state +new", 5)
    with pytest.raises(BootTestError):
        serial.expect("pass", 0)  # what was found before isn't found again


def test_a_shell_tells_the_end_and_the_words_of_each_command(line: tuple[Serial, socket.socket]) -> None:
    serial, machine = line

    def shell() -> None:
        machine.sendall(b"noise of the firmware\nboot-test-ready\n")
        for number, (words, status) in enumerate((("one\n", 0), ("", 3)), start=1):
            assert b"(true) 2>&1" in machine.recv(4096)
            machine.sendall(f"boot-test-{number}-begins\n{words}boot-test-{number}-ends {status}\n".encode())

    thread = threading.Thread(target=shell)
    thread.start()
    asked = Inspector(serial)
    assert asked.ask("true", 5) == (0, "one\n")
    with pytest.raises(BootTestError):
        asked.must("true", 5)
    thread.join()
