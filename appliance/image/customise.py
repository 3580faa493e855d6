"""Makes a Debian into a box; mmdebstrap calls it on the new root: `python -m appliance.image.customise PLAN ROOT`.

Everything here is written in the same order with the same modes; dates are clamped when the tar is written.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from appliance import COUNTER, RELEASED, __version__, modes
from appliance.bundle.update import system
from appliance.bundle.update.system import System
from appliance.image import server
from appliance.image.profiles import Profile

BASE: Final = "opt/hako/base"
MODELS: Final = "usr/share/hako/models"
DATA: Final = "var/lib/hako"
ACCOUNT: Final = 4256
"""Of the box in a container, user and group: the number that a folder of the host has to be owned by."""
UNITS: Final = "usr/lib/systemd/system"
ENABLED: Final = (
    *server.ENABLED, server.FIREWALL, "hako-disk.service", "hako-erase.service", "hako-slots.service",
    "hako-console@tty1.service", "hako-console@ttyS0.service",
    "systemd-networkd.service", "systemd-resolved.service", "usbguard.service",
)  # fmt: skip
MASKED: Final = (
    "getty@.service", "serial-getty@.service", "autovt@.service", "emergency.service", "rescue.service",
    "debug-shell.service", "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer",
    "fstrim.timer", "systemd-firstboot.service", "systemd-networkd-wait-online.service", "nftables.service",
    "usbguard-dbus.service", "kexec.target", "hibernate.target", "suspend.target",
)  # fmt: skip
"""No way in but the pages and the console, nothing that looks for updates by itself, no sleep."""
PRIVATE: Final = ("etc/usbguard/rules.conf", "etc/usbguard/usbguard-daemon.conf")
_GONE: Final = (
    "var/cache/debconf", "var/cache/ldconfig", "var/log/apt", "var/log/dpkg.log",
    "var/log/alternatives.log", "var/log/bootstrap.log", "etc/machine-id", "etc/resolv.conf", "etc/hostname",
    "var/lib/dbus", "var/lib/systemd/catalog", "etc/.pwd.lock", "etc/passwd-", "etc/group-", "etc/shadow-",
    "etc/gshadow-", "boot", "vmlinuz", "initrd.img", "vmlinuz.old", "initrd.img.old", "tmp/wheels", "root/.cache",
)  # fmt: skip
_COMPILE: Final = (
    "import compileall, py_compile, sys; sys.exit(not compileall.compile_dir(sys.argv[1], quiet=2, workers=1, "
    "force=True, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH) and 0)"
)


def main(arguments: Sequence[str]) -> int:
    """One build's plan, and the root that mmdebstrap has made."""
    plan, root = json.loads(Path(arguments[0]).read_text("utf-8")), Path(arguments[1])
    machine = None if plan["is_container"] else Profile.model_validate(plan["profile"])
    _overlay(Path(plan["overlay"]), root)
    if machine is None:
        _inside(root, "groupadd", "--gid", str(ACCOUNT), "hako")
        _inside(root, "useradd", "--uid", str(ACCOUNT), "--gid", "hako", "--no-create-home", "--home-dir", f"/{DATA}",
                "--shell", "/usr/sbin/nologin", "hako")  # fmt: skip
    else:
        _units(Path(plan["systemd"]), root, machine)
        _inside(root, "systemd-sysusers")
        for path in PRIVATE:
            (root / path).chmod(modes.file())
    _put(root / "usr/share/hako/release", f"{__version__}\n".encode())
    _python(root, Path(plan["wheels"]), Path(plan["lock"]))
    shutil.copytree(plan["models"], root / MODELS, ignore=server.NOT_BUILT, dirs_exist_ok=True)
    _open(root / MODELS)
    if machine is not None:
        _inside(root, "systemctl", "set-default", "multi-user.target")
        _inside(root, "systemctl", "mask", *MASKED)
        _inside(root, "systemctl", "enable", *ENABLED, *(["ssh.service"] if machine.sshd else []))
        _inside(root, "update-initramfs", "-c", "-k", "all")
        _describe(root, Path(plan["out"]), machine.name, int(plan["number"]))
        _take_out(root, Path(plan["out"]))
    said = _inside(root, "dpkg-query", "-W", "-f", "${Package} ${Version} ${Architecture}\n")
    (Path(plan["out"]) / "packages.txt").write_text("".join(sorted(said.splitlines(keepends=True))), "utf-8")
    _clean(root)
    if machine is None:
        _empty(root)
    return 0


def _overlay(overlay: Path, root: Path) -> None:
    for source in sorted(path for path in overlay.rglob("*") if path.is_file()):
        _put(root / source.relative_to(overlay), source.read_bytes(), program=bool(source.stat().st_mode & 0o100))


def _put(path: Path, content: bytes, *, program: bool = False) -> None:
    for each in reversed([each for each in path.parents if not each.exists()]):
        each.mkdir()
        each.chmod(0o755)
    path.write_bytes(content)
    path.chmod(0o755 if program else 0o644)


def _units(systemd: Path, root: Path, profile: Profile) -> None:
    """Those that the box has on every machine, in systemd's own places."""
    for source in sorted(systemd.iterdir()):
        places = {
            "hako.sysusers.conf": "usr/lib/sysusers.d/hako.conf",
            "hako.tmpfiles.conf": "usr/lib/tmpfiles.d/hako.conf",
            "hako.nft": "etc/hako/hako.nft",
            "90-hako-usb.rules": "usr/lib/udev/rules.d/90-hako-usb.rules",
            "hako.toml": "usr/share/hako/hako.toml",
        }
        content = source.read_bytes()
        if source.name == "hako.toml":
            content = settings(content.decode("utf-8"), profile).encode()
        _put(root / places.get(source.name, f"{UNITS}/{source.name}"), content)
    for unit in profile.open_units:
        said = "[Service]\nPrivateDevices=no\nDeviceAllow=char-nvidia* rw\nDeviceAllow=char-nvidia-uvm rw\n"
        _put(root / UNITS / f"{unit}.service.d" / "gpu.conf", said.encode())
    _put(root / "opt/hako/README.md", b"The manual is in the box itself, below Help.\n")
    _put(root / "etc/hostname", b"hako\n")
    _put(root / "etc/hosts", b"127.0.0.1 localhost\n127.0.1.1 hako hako.local\n::1 localhost\n")


def settings(plain: str, profile: Profile) -> str:
    """hako.toml of an imaged machine: TLS by the certificate that the box makes, and what the profile says."""
    said = server.with_tls(plain)
    if profile.inference:
        lines = [f"{name} = {json.dumps(value)}" for name, value in sorted(profile.inference.items())]
        said = said.rstrip("\n") + "\n\n[inference]\n" + "\n".join(lines) + "\n"
    return said


def _python(root: Path, wheels: Path, lock: Path) -> None:
    """The base: an environment of the locked wheels, byte code included, for nothing can be written to it later."""
    inside = root / "tmp/wheels"
    inside.mkdir()
    for wheel in sorted(wheels.glob("*.whl")):
        shutil.copyfile(wheel, inside / wheel.name)
    shutil.copyfile(lock, inside / "lock.txt")
    own = max(inside.glob("hako_appliance-*.whl")).name
    python = f"/{BASE}/bin/python"
    pip = [python, "-I", "-m", "pip", "--isolated", "--disable-pip-version-check", "--quiet", "install", "--no-index"]
    (root / BASE).parent.mkdir(parents=True, exist_ok=True)
    _inside(root, "python3", "-I", "-m", "venv", f"/{BASE}")
    more = ("--no-cache-dir", "--no-compile", "--no-deps", "--find-links", "/tmp/wheels")  # noqa: S108 - of the new root
    _inside(root, *pip, *more, "--require-hashes", "--only-binary", ":all:", "-r", "/tmp/wheels/lock.txt")  # noqa: S108
    _inside(root, *pip, *more, f"/tmp/wheels/{own}")  # noqa: S108
    for cache in sorted((root / BASE).rglob("__pycache__")):
        shutil.rmtree(cache)
    _inside(root, python, "-I", "-c", _COMPILE, f"/{BASE}")
    _open(root / BASE)


def _open(folder: Path) -> None:
    """Readable by all accounts, whatever the builder's umask was."""
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)


def _describe(root: Path, out: Path, profile: str, number: int) -> None:
    """What this system is, inside of it and beside it."""
    python = _inside(root, "python3", "-I", "-c", "import sys; print('%d.%d' % sys.version_info[:2])").strip()
    machine = platform.machine()
    said = System(
        profile=profile, architecture=machine, number=number, version=__version__, counter=COUNTER, python=python
    ).model_dump_json()
    _put(root / "usr/share/hako" / system.MANIFEST, said.encode())
    (out / system.MANIFEST).write_text(said, "utf-8")


def _take_out(root: Path, out: Path) -> None:
    """Kernel and first stage go beside the root, not into it."""
    kernels = sorted((root / "boot").glob("vmlinuz-*"))
    shutil.copyfile(kernels[-1], out / "vmlinuz")
    shutil.copyfile(kernels[-1].with_name(kernels[-1].name.replace("vmlinuz", "initrd.img")), out / "initrd")


def _clean(root: Path) -> None:
    hostname = (root / "etc/hostname").read_bytes()
    for name in _GONE:
        path = root / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    for name in ("boot", "etc/credstore.encrypted", "var/lib/dbus", "var/lib/hako", "opt/hako/releases"):
        (root / name).mkdir(exist_ok=True, parents=True)
        (root / name).chmod(0o755)
    _put(root / "etc/hostname", hostname)
    _put(root / "etc/machine-id", b"")
    for path in sorted(root.glob("var/lib/initramfs-tools/*")):
        path.unlink()


def _empty(root: Path) -> None:
    """Of a container: the folder of the data is the account's, and what only a machine has doesn't lie about."""
    for name in ("etc/credstore.encrypted", "opt/hako/releases", "var/lib/dbus", "etc/hostname"):
        path = root / name
        path.rmdir() if path.is_dir() else path.unlink()
    os.chown(root / DATA, ACCOUNT, ACCOUNT)
    (root / DATA).chmod(modes.folder())
    undate(root / "etc/shadow")


def undate(shadow: Path) -> None:
    """When passwords were changed last, which is our date: without it Debian's layer is the same in each release."""
    lines = [line.split(":") for line in shadow.read_text("ascii").splitlines()]
    # Written in place: owner and mode stay.
    shadow.write_text("".join(":".join([*line[:2], "", *line[3:]]) + "\n" for line in lines), "ascii")


def _inside(root: Path, *words: str) -> str:
    """In the new root, with a clock that stands still where a tool looks at it by itself."""
    environment = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "LC_ALL": "C.UTF-8",
        "SOURCE_DATE_EPOCH": os.environ.get("SOURCE_DATE_EPOCH", str(RELEASED)),
        "PYTHONHASHSEED": "0",
        "SYSTEMD_OFFLINE": "1",
    }
    done = subprocess.run(["chroot", str(root), *words], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.stderr.write(f"{' '.join(words)[:200]}\n{done.stdout[-1500:]}{done.stderr[-1500:]}\n")
        raise SystemExit(1)
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
