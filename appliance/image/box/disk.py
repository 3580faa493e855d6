"""Makes the data partition at the first start, opens it at each, and mounts what of the system must outlive a start.

The key of the disk is random and wrapped by the TPM where there is one, by a passphrase where there is none, and in any
case by a recovery key. Runs as root before anything of the box; asks at the console, by systemd's own question.
"""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from appliance.errors import HakoError
from appliance.image import layout
from appliance.image.box import disks
from appliance.image.box.disks import Disk, run
from appliance.machine import kept, tpm
from appliance.machine.tpm import TpmError

OPENED: Final = Path("/dev/mapper/hako-data")
MOUNT: Final = Path("/run/hako-root/data")
RECOVERY: Final = Path("/run/hako-root/recovery-key")
"""Until somebody at the console has noted it, or until the machine stops."""
KEPT: Final = {
    "box": "/var/lib/hako",
    "releases": "/opt/hako/releases",
    "helper": "/var/lib/hako-helper",
    "hako": "/etc/hako",
    "network": "/etc/systemd/network",
    "credentials": "/etc/credstore.encrypted",
    "systemd": "/var/lib/systemd",
}
"""Folders of the data partition, and where the system looks for them."""
SHORTEST: Final = 12
_KEY_BYTES: Final = 64
_WAIT_S: Final = 20.0
_ENROL: Final = "/usr/bin/systemd-cryptenroll"
_ATTACH: Final = "/lib/systemd/systemd-cryptsetup"


def main() -> int:
    """At each start. What goes wrong is said on every console: nothing else of the machine would."""
    os.umask(0o077)
    try:
        _bring_up()
    except (HakoError, OSError, KeyError, subprocess.SubprocessError) as error:
        _tell(f"the data partition can't be used: {error!r} {getattr(error, 'detail', '')}")
        return 1
    return 0


def _bring_up() -> None:
    disk = disks.started_from()
    if layout.DATA not in disk.partitions:
        disk = _first_start(disk)
    if not OPENED.exists():
        _open(disk.partitions[layout.DATA].device)
    _mount()
    call_by_name(kept.read())


def _first_start(disk: Disk) -> Disk:
    """What a power cut leaves of it is made anew: only the last step gives the partition its name."""
    _tell("first start: making the second slot and the data partition")
    missing = [each for each in _plan(disk) if each.name not in disk.partitions]
    if missing:
        run("sfdisk", "--quiet", "--relocate", "gpt-bak-std", disk.device)
        lines = "".join(each.line for each in missing)
        run("sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", "--append", disk.device, text=lines)
        disk = _read_again(disk)
    fresh = disk.partitions[layout.FRESH]
    has_tpm = tpm.DEVICE.exists()
    phrase = None if has_tpm else _new_passphrase()
    _format(fresh.device, phrase)
    _forget_count()
    run("mkfs.ext4", "-q", "-m", "1", "-L", "hako-data", OPENED)
    os.sync()
    run(
        "sfdisk",
        "--quiet",
        "--no-reread",
        "--no-tell-kernel",
        "--part-label",
        disk.device,
        str(fresh.number),
        layout.DATA,
    )
    os.sync()
    return _read_again(disk)


def _forget_count() -> None:
    """The security chip may have counted for a disk that was here before; this one has learned nothing yet."""
    counter = tpm.counter()
    try:
        if counter is not None:
            counter.forget()
    except TpmError as error:
        _tell(f"the security chip keeps an older count: {error}")


def _plan(disk: Disk) -> list[layout.Partition]:
    """As the image was laid out: the first slot and the firmware's partition say how large."""
    slot, esp = (disk.partitions[name].sectors * 512 // layout.MIB for name in (layout.root("a"), layout.ESP))
    return layout.plan(slot, esp)


def _read_again(disk: Disk) -> Disk:
    """The kernel is told of new partitions and names; those in use stay as they are."""
    subprocess.run(["partx", "--update", disk.device], check=False, capture_output=True)
    subprocess.run(["udevadm", "settle", "--timeout=10"], check=False)
    return disks.started_from()


def _format(device: Path, phrase: bytes | None) -> None:
    """LUKS2 with a random key that is gone when the machine's own ways in are there."""
    key = Path("/run/hako-root/first.key")
    key.write_bytes(secrets.token_bytes(_KEY_BYTES))
    try:
        quick = ("--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000")
        run("cryptsetup", "luksFormat", "--batch-mode", "--type", "luks2", *quick, "--label", "hako-data",
            "--key-file", key, device)  # fmt: skip
        if phrase is None:
            run(_ENROL, f"--unlock-key-file={key}", "--tpm2-device=auto", "--tpm2-pcrs=7", device)
        else:
            slow = ("--pbkdf", "argon2id", "--pbkdf-memory", "262144", "--pbkdf-parallel", "1")
            run("cryptsetup", "luksAddKey", "--batch-mode", *slow, "--key-file", key, device, "-", secret=phrase)
        said = run(_ENROL, f"--unlock-key-file={key}", "--recovery-key", device)
        RECOVERY.write_text(said.strip() + "\n", "ascii")
        run("cryptsetup", "open", "--type", "luks2", "--allow-discards", "--key-file", key, device, OPENED.name)
        run("cryptsetup", "luksKillSlot", "--batch-mode", device, "0")
    finally:
        key.unlink()


def _new_passphrase() -> bytes:
    """Asked for twice, until both are the same and long enough."""
    words = f"New passphrase for this machine's disk (at least {SHORTEST} characters)"
    while True:
        first = _ask(words)
        if len(first.decode("utf-8", "replace")) < SHORTEST:
            words = f"Too short. New passphrase (at least {SHORTEST} characters)"
        elif secrets.compare_digest(first, _ask("The same passphrase again")):
            return first
        else:
            words = "The two were not the same. New passphrase"


def _ask(words: str) -> bytes:
    return run("systemd-ask-password", "--timeout=0", "--id=hako-disk", words).rstrip("\n").encode()


def _open(device: Path) -> None:
    """By the TPM; where that doesn't open it, whoever is at the console enters passphrase or recovery key."""
    until = time.monotonic() + _WAIT_S
    has_token = "systemd-tpm2" in run("cryptsetup", "luksDump", device)
    while has_token and not tpm.DEVICE.exists() and time.monotonic() < until:
        time.sleep(0.5)
    options = "luks,discard,tries=0,timeout=0" + (",tpm2-device=auto" if has_token and tpm.DEVICE.exists() else "")
    subprocess.run([_ATTACH, "attach", OPENED.name, device, "-", options], check=True)


def _mount() -> None:
    MOUNT.mkdir(mode=0o755, parents=True, exist_ok=True)
    run("mount", "-t", "ext4", "-o", "nosuid,nodev,noatime", OPENED, MOUNT)
    for name, place in KEPT.items():
        kept, where = MOUNT / name, Path(place)
        if not kept.exists():
            kept.mkdir()
            kept.chmod(0o755)
        where.mkdir(mode=0o755, parents=True, exist_ok=True)
        _bring(where, kept)
        run("mount", "--bind", kept, where)
    settings = Path(KEPT["box"]) / "hako.toml"
    if not settings.exists() or not settings.stat().st_size:
        shutil.copyfile("/usr/share/hako/hako.toml", settings)
        settings.chmod(0o644)


def _bring(image: Path, kept: Path) -> None:
    """What the image has in such a folder is the release's: it comes anew with each start."""
    for source in sorted(path for path in image.rglob("*") if path.is_file()):
        target = kept / source.relative_to(image)
        target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        target.chmod(0o644)


def call_by_name(said: kept.Kept, root: Path = Path("/"), rename: Callable[[str], None] = socket.sethostname) -> None:
    """The machine's name and time zone, as an operator has chosen them: the system's own files are the image's."""
    if said.name:
        (root / "etc/hostname").write_text(f"{said.name}\n", "ascii")
        hosts = f"127.0.0.1 localhost\n127.0.1.1 {said.name} {said.name}.local\n::1 localhost\n"
        (root / "etc/hosts").write_text(hosts, "ascii")
        rename(said.name)
    if said.zone and (root / "usr/share/zoneinfo" / said.zone).is_file():
        link = root / "etc/localtime"
        link.unlink(missing_ok=True)
        link.symlink_to(f"/usr/share/zoneinfo/{said.zone}")


def _tell(line: str) -> None:
    """On every console, as only the kernel can."""
    Path("/dev/kmsg").write_text(f"<2>hako: {line}\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
