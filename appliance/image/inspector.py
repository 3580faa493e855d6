"""A look into a running image, which has no way in: a shell on a second serial line, brought by another first stage.

The image stays as it is: kernel, first stage and command line are taken out of it, and the emulator starts them itself
with one folder more in the first stage's memory. So the system is the same checked one, and no image has such a shell.
"""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance.errors import BootTestError
from appliance.image import layout, tools
from appliance.image.layout import MIB
from appliance.image.serial import Serial

NEEDED: Final = {"cpio": "cpio", "mcopy": "mtools", "objcopy": "binutils"}
LINE: Final = "ttyS1"
_UNIT: Final = "boot-test.service"
_SERVICE: Final = f"""[Unit]
DefaultDependencies=no
IgnoreOnIsolate=yes
[Service]
ExecStart=/bin/sh -c 'stty -echo -onlcr; echo boot-test-ready; exec /bin/sh'
StandardInput=tty-force
StandardOutput=tty
StandardError=tty
TTYPath=/dev/{LINE}
Environment=PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 SYSTEMD_COLORS=0 TERM=dumb PS1=
"""
_STAGE: Final = f"""#!/bin/sh
[ "$1" = prereqs ] && exit 0
cat /boot-test.service > "$rootmnt/etc/systemd/system/{_UNIT}"
"""
_ORDER: Final = "".join(
    f'/scripts/local-bottom/{name} "$@"\n[ -e /conf/param.conf ] && . /conf/param.conf\n'
    for name in ("hako", "zz-boot-test")
)
_ASK_S: Final = 300.0
_START_S: Final = 1500.0


@dataclass(frozen=True)
class Stage:
    """What the emulator starts instead of the disk's loader."""

    kernel: Path
    first: Path
    line: str

    def words(self) -> list[str]:
        """For the emulator."""
        return ["-kernel", str(self.kernel), "-initrd", str(self.first), "-append", self.line]


def stage(image: Path, folder: Path, *more: str) -> Stage:
    """The first slot's, with a shell more; `more` are words for the kernel.

    Raises:
        ImageStepError: a tool is missing or has failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kernel, first, line, unified = (folder / name for name in ("vmlinuz", "initrd", "cmdline", "a.efi"))
    start = layout.plan(1, 1)[0].start * MIB
    tools.run("inspector", ["mcopy", "-n", "-o", "-i", f"{image}@@{start}", "::EFI/hako/a.efi", unified])
    sections = {".linux": kernel, ".initrd": first, ".cmdline": line}
    dumps = [word for name, path in sections.items() for word in ("--dump-section", f"{name}={path}")]
    tools.run("inspector", ["objcopy", *dumps, unified, folder / "rest.efi"])
    for path in (unified, folder / "rest.efi"):
        path.unlink()
    _add(first, folder / "more")
    said = line.read_bytes().rstrip(b"\0").decode("ascii")
    return Stage(kernel, first, " ".join([said, f"systemd.wants={_UNIT}", *more]))


def _add(first: Path, more: Path) -> None:
    """Another archive behind the one that is there: the kernel unpacks one after the other."""
    scripts = more / "scripts" / "local-bottom"
    scripts.mkdir(parents=True, exist_ok=True)
    (more / "boot-test.service").write_text(_SERVICE, "ascii")
    (scripts / "zz-boot-test").write_text(_STAGE, "ascii")
    (scripts / "zz-boot-test").chmod(0o755)
    (scripts / "ORDER").write_text(_ORDER, "ascii")
    names = ["boot-test.service", "scripts", "scripts/local-bottom", "scripts/local-bottom/ORDER",
             "scripts/local-bottom/zz-boot-test"]  # fmt: skip
    words = ["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"]
    made = subprocess.run(words, cwd=more, input="\n".join(names).encode(), capture_output=True, check=True).stdout
    with first.open("ab") as archive:
        archive.write(b"\0" * (-archive.tell() % 512) + made)


class Inspector:
    """Asks the shell one thing after the other."""

    def __init__(self, line: Serial) -> None:
        self._line, self._asked = line, 0
        line.expect("boot-test-ready\n", _START_S)

    def ask(self, command: str, within_s: float = _ASK_S) -> tuple[int, str]:
        """Exit status and all that was printed.

        Raises:
            BootTestError: no end of it was seen.
        """
        self._asked += 1
        mark = f"boot-test-{self._asked}"
        self._line.send(f"echo {mark}-'begins'; ({command}) 2>&1 </dev/null; echo {mark}-'ends' $?", end="\n")
        begun = self._line.expect(f"{mark}-begins\n", within_s)
        ended = self._line.expect(rf"{mark}-ends (\d+)\n", within_s)
        return int(ended.group(1)), self._line.text[begun.end() : ended.start()]

    def must(self, command: str, within_s: float = _ASK_S) -> str:
        """As `ask`, of what has to succeed.

        Raises:
            BootTestError: it hasn't.
        """
        status, said = self.ask(command, within_s)
        if status:
            raise BootTestError(said[-3000:], step=f"{command}: {status}")
        return said
