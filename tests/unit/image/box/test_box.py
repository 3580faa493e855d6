"""What a machine does by itself: finds its disk, counts its slots' tries, makes a certificate, shows its state."""

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from appliance.errors import ImageStepError
from appliance.image import layout
from appliance.image.box import certificate, console, disks, slots
from appliance.image.box import disk as box_disk
from appliance.image.box.invited import Invited
from appliance.machine.errands import BROUGHT
from appliance.machine.kept import Kept
from tests.simulators.certificates import certificate as brought
from tests.simulators.certificates import new_key, pem_of


def kernel(root: Path) -> Path:
    """Two disks; the system was started from the second one."""
    below = root / "sys" / "class" / "block"
    below.mkdir(parents=True)
    for disk in ("sda", "vda"):
        device = root / "sys" / "devices" / disk
        (device / f"{disk}2").mkdir(parents=True)
        (below / f"{disk}2").symlink_to(device / f"{disk}2")
        (below / disk).symlink_to(device)
    mapped = below / "dm-0"
    (mapped / "dm").mkdir(parents=True)
    (mapped / "dm" / "name").write_text("hako-root\n")
    (mapped / "slaves").mkdir()
    (mapped / "slaves" / "vda2").symlink_to(root / "sys" / "devices" / "vda" / "vda2")
    return root


TABLE = """{"partitiontable": {"label": "gpt", "device": "/dev/nvme0n1", "sectorsize": 512, "partitions": [
  {"node": "/dev/nvme0n1p1", "start": 2048, "size": 524288, "type": "C12A", "name": "hako-esp"},
  {"node": "/dev/nvme0n1p12", "start": 526336, "size": 2097152, "type": "4F68", "name": "hako-root-a"}]}}"""


def test_the_disk_is_the_one_that_the_system_was_started_from(tmp_path: Path) -> None:
    asked: list[Path] = []

    def table(device: Path) -> str:
        asked.append(device)
        return TABLE

    disk = disks.started_from(kernel(tmp_path), table)
    assert (disk.device, asked) == (Path("/dev/vda"), [Path("/dev/vda")])
    assert disk.partitions["hako-root-a"] == disks.Partition(Path("/dev/nvme0n1p12"), 12, 2097152)


def test_a_machine_without_an_image_has_no_such_disk(tmp_path: Path) -> None:
    (tmp_path / "sys" / "class" / "block").mkdir(parents=True)
    with pytest.raises(ImageStepError):
        disks.started_from(tmp_path)


def test_the_slot_is_what_the_kernel_was_told() -> None:
    assert disks.running_slot("ro hako.slot=b quiet") == "b"
    assert disks.running_slot("ro quiet") == ""


def firmware(folder: Path, *names: str) -> Path:
    for below in ("EFI/Linux", "EFI/hako"):
        (folder / below).mkdir(parents=True)
    for slot in layout.SLOTS:
        (folder / "EFI" / "hako" / f"{slot}.efi").write_bytes(slot.encode())
    for name in names:
        (folder / "EFI" / "Linux" / name).write_bytes(b"kernel")
    return folder


def entries(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "EFI" / "Linux").iterdir())


@pytest.mark.parametrize("name", ["hako-a+2-1.efi", "hako-a+0-3.efi", "hako-a+3.efi", "hako-a.efi"])
def test_a_start_that_succeeded_gives_the_tries_back(name: str, tmp_path: Path) -> None:
    esp = firmware(tmp_path, name, "hako-b+3.efi")
    slots.rearm(esp, "a")
    assert entries(esp) == ["hako-a+3.efi", "hako-b+3.efi"]


@pytest.mark.parametrize(
    ("name", "armed"),
    [("hako-b+3.efi", True), ("hako-b+1-2.efi", True), ("hako-b+0-3.efi", False), ("other.efi", False)],
)
def test_a_slot_without_tries_is_not_armed(name: str, armed: bool, tmp_path: Path) -> None:
    assert slots.is_armed(firmware(tmp_path, name), "b") is armed


def test_a_slot_that_was_given_up_is_copied_with_its_own_kernel(tmp_path: Path) -> None:
    system, tree = tmp_path / "dm", tmp_path / "va"
    system.write_bytes(b"s" * 5000)
    tree.write_bytes(b"t" * 3000)
    for name, size in (("ra", 9000), ("rb", 9000), ("vb", 3000)):
        (tmp_path / name).write_bytes(bytes(size))
    parts = {
        layout.root("a"): "ra", layout.verity("a"): "va", layout.root("b"): "rb", layout.verity("b"): "vb",
    }  # fmt: skip
    disk = disks.Disk(tmp_path, {name: disks.Partition(tmp_path / file, 1, 1) for name, file in parts.items()})
    esp = firmware(tmp_path / "esp", "hako-a+3.efi", "hako-b+0-3.efi")
    slots.copy(disk, "a", "b", system)
    slots.arm(esp, "b")
    assert (tmp_path / "rb").read_bytes() == b"s" * 5000 + bytes(4000)
    assert (tmp_path / "vb").read_bytes() == b"t" * 3000
    assert entries(esp) == ["hako-a+3.efi", "hako-b+3.efi"]
    assert (esp / "EFI" / "Linux" / "hako-b+3.efi").read_bytes() == b"b"


def test_a_start_counts_only_when_the_box_has_answered() -> None:
    answers = iter([False, False, True])
    waited: list[float] = []
    slots.wait(lambda: next(answers), waited.append)
    assert len(waited) == 2


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_a_certificate_stays_until_an_address_is_missing_in_it(tmp_path: Path) -> None:
    certificate.make(tmp_path, lambda: ["192.0.2.7", "2001:db8::7"])
    first, authority = certificate.fingerprint(tmp_path / "box.pem"), (tmp_path / "authority.pem").read_bytes()
    assert len(first) == 32 * 3 - 1
    certificate.make(tmp_path, lambda: ["2001:db8::7"])
    assert certificate.fingerprint(tmp_path / "box.pem") == first
    certificate.make(tmp_path, lambda: ["192.0.2.8"])
    assert certificate.fingerprint(tmp_path / "box.pem") != first
    assert (tmp_path / "authority.pem").read_bytes() == authority
    checked = ["openssl", "verify", "-CAfile", tmp_path / "authority.pem", tmp_path / "box.pem"]
    assert subprocess.run(checked, capture_output=True, check=False).returncode == 0
    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.glob("*.key")} == {
        "authority.key": 0o400, "box.key": 0o400,
    }  # fmt: skip


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_a_certificate_is_made_anew_for_a_name_and_where_its_key_does_not_fit(tmp_path: Path) -> None:
    certificate.make(tmp_path, list)
    first = certificate.fingerprint(tmp_path / "box.pem")
    certificate.make(tmp_path, list, also=("ward-3.local",))
    named = certificate.fingerprint(tmp_path / "box.pem")
    assert named != first
    checked = ["openssl", "verify", "-verify_hostname", "ward-3.local", "-CAfile", "authority.pem", "box.pem"]
    assert subprocess.run(checked, capture_output=True, check=False, cwd=tmp_path).returncode == 0
    (tmp_path / "box.key").unlink()
    shutil.copyfile(tmp_path / "authority.key", tmp_path / "box.key")  # the power went between the two
    certificate.make(tmp_path, list, also=("ward-3.local",))
    assert certificate.fingerprint(tmp_path / "box.pem") != named
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tmp_path / "box.pem", tmp_path / "box.key")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_what_an_operator_has_brought_is_used_and_left_again(tmp_path: Path) -> None:
    key = new_key()
    chain = brought(key, "hako.local") + brought(new_key(), "an authority")
    (tmp_path / certificate.BROUGHT).write_text(f"{chain}{pem_of(key)}")
    certificate.make(tmp_path, lambda: ["192.0.2.7"])
    assert ((tmp_path / "box.pem").read_text(), (tmp_path / "box.key").read_text()) == (chain, pem_of(key))
    assert (tmp_path / "box.key").stat().st_mode & 0o777 == 0o400
    (tmp_path / certificate.BROUGHT).unlink()
    certificate.make(tmp_path, lambda: ["192.0.2.7"])
    assert (tmp_path / "box.pem").read_text().endswith((tmp_path / "authority.pem").read_text())
    assert certificate.BROUGHT.name == BROUGHT.name


def test_name_and_zone_are_the_machines_own_at_each_start(tmp_path: Path) -> None:
    for folder in ("etc", "usr/share/zoneinfo/Asia"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "usr/share/zoneinfo/Asia/Tokyo").touch()
    (tmp_path / "etc/localtime").symlink_to("/usr/share/zoneinfo/Etc/UTC")
    renamed: list[str] = []
    box_disk.call_by_name(Kept("ward-3", "Asia/Tokyo"), tmp_path, renamed.append)
    assert ((tmp_path / "etc/hostname").read_text(), renamed) == ("ward-3\n", ["ward-3"])
    assert "ward-3.local" in (tmp_path / "etc/hosts").read_text()
    assert (tmp_path / "etc/localtime").readlink() == Path("/usr/share/zoneinfo/Asia/Tokyo")
    box_disk.call_by_name(Kept("", "Asia/Nowhere"), tmp_path, renamed.append)
    assert (renamed, (tmp_path / "etc/localtime").readlink().name) == (["ward-3"], "Tokyo")


def test_the_console_says_how_the_box_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "DATA", tmp_path)
    assert console.state(lambda _method, _path: None) == "starting"
    assert console.state(lambda _method, _path: {"vault": {"state": "sealed"}}).startswith("new")
    (tmp_path / "vault.json").touch()
    assert console.state(lambda _method, _path: {"vault": {"state": "sealed"}}).startswith("closed")
    assert console.state(lambda _method, _path: {"vault": {"state": "open"}, "trial": False}) == "open"


class Asked:
    """A box that waits for its first set-up, and the codes it has made."""

    def __init__(self) -> None:
        self.state: dict[str, object] | None = {"vault": {"state": "sealed"}}
        self.paths: list[str] = []

    def __call__(self, method: str, path: str) -> object:
        if method == "GET" or self.state is None:
            return self.state
        self.paths.append(path)
        return {"path": "/setup?token=x", "code": f"K7QX-2M9{len(self.paths)}"}


def test_the_console_asks_for_one_code_and_shows_it_until_somebody_has_set_the_box_up(tmp_path: Path) -> None:
    ask, vault = Asked(), tmp_path / "vault.json"
    invited = Invited(vault, tmp_path / "run" / "setup-code")
    ask.state = None
    invited.look(ask)  # the box is starting
    assert (invited.code, ask.paths) == ("", [])
    ask.state = {"vault": {"state": "sealed"}}
    invited.look(ask)
    invited.look(ask)
    assert (invited.code, ask.paths) == ("K7QX-2M91", ["/api/v1/first-setup"])
    vault.touch()
    invited.look(ask)  # the vault is open soon, and who has typed the code goes on with it
    ask.state = {"vault": {"state": "open"}, "set_up": False}
    invited.look(ask)
    assert (invited.code, len(ask.paths)) == ("K7QX-2M91", 1)
    invited.renew(ask)
    assert (invited.code, ask.paths[-1]) == ("K7QX-2M92", "/api/v1/setup-link")
    assert "K7QX-2M92" in "\n".join(console.Seen("1", (), "", "", "", "", code=invited.code).lines())
    ask.state["set_up"] = True
    invited.look(ask)
    assert invited.code == ""


def test_both_screens_of_a_machine_show_the_same_code(tmp_path: Path) -> None:
    ask, file = Asked(), tmp_path / "run" / "setup-code"
    screen, serial = (Invited(tmp_path / "vault.json", file) for _ in range(2))
    screen.look(ask)
    serial.look(ask)
    assert (screen.code, serial.code, len(ask.paths)) == ("K7QX-2M91", "K7QX-2M91", 1)
    serial.renew(ask)
    screen.look(ask)
    assert (screen.code, serial.code) == ("K7QX-2M92", "K7QX-2M92")
    assert file.stat().st_mode & 0o077 == 0


def test_a_box_that_makes_no_new_code_leaves_none_on_the_screen_that_may_be_worthless(tmp_path: Path) -> None:
    ask, invited = Asked(), Invited(tmp_path / "vault.json", tmp_path / "setup-code")
    invited.look(ask)
    ask.state = None
    invited.renew(ask)
    assert invited.code == ""


def test_the_console_shows_the_publisher_and_changes_it_only_for_who_means_it(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[tuple[str, ...]] = []

    def hako(*words: str) -> int:
        ran.append(words)
        return 0

    monkeypatch.setattr(console, "_hako", hako)
    for answer in ("no", "yes"):
        monkeypatch.setattr("builtins.input", lambda _question, answer=answer: answer)
        console.act("8")
    assert ran == [("publisher",), ("publisher",), ("publisher", "--change")]
    assert "[8] publisher" in "\n".join(console.Seen("1", (), "", "", "", "").lines())


def test_the_console_opens_and_shuts_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[tuple[str, ...]] = []
    mark = tmp_path / "way-out"

    def hako(*words: str) -> int:
        ran.append(words)
        if "--open" in words:
            mark.touch()
        return 0

    monkeypatch.setattr(console, "_hako", hako)
    monkeypatch.setattr(console, "WAY_OUT", mark)
    asked: list[str] = []
    for answer in ("no", "yes", "yes"):
        monkeypatch.setattr("builtins.input", lambda question, answer=answer: (asked.append(question), answer)[1])
        console.act("10")
    shown = ("way-out",)
    assert ran == [shown, shown, ("way-out", "--open"), shown, ("way-out", "--shut")]
    assert [question.split()[0] for question in asked] == ["open", "open", "shut"]
    assert "[10] way out" in "\n".join(console.Seen("1", (), "", "", "", "").lines())


def test_the_console_shows_where_the_box_is_and_the_key_until_it_is_noted() -> None:
    seen = console.Seen("1.2", ("192.0.2.7", "2001:db8::7"), "AB:CD", "open", "a: sound", "key-of-the-disk")
    said = "\n".join(seen.lines())
    for word in ("https://192.0.2.7/", "https://[2001:db8::7]/", "AB:CD", "open", "a: sound", "key-of-the-disk"):
        assert word in said
    plain = "\n".join(console.Seen("1.2", (), "", "open", "a", "").lines())
    assert "recovery key" not in plain
    assert "failed" not in plain
    assert "hako-web.service" in "\n".join(console.Seen("1.2", (), "", "open", "a", "", ("hako-web.service",)).lines())
