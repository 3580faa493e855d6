"""A stick to plug in: a small disk of its own where root may mount one here, else a folder that stands for it.

Sticks are FAT as a rule. Where the kernel has none it is ext4, and `demand_fat` finds what FAT would not have taken.
"""

import os
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Final, Self

_BYTES: Final = 96 << 20
_KINDS: Final = {"vfat": ("mkfs.vfat", "loop,umask=077"), "ext4": ("mkfs.ext4", "loop")}
_FAT_FILE_BYTES: Final = (4 << 30) - 1
_NEVER_ON_FAT: Final = frozenset('<>:"\\|?*')


class Stick:
    """Empty and in a pocket at first; appears as `folder`. `kind`: vfat, ext4 or folder."""

    def __init__(self, pocket: Path, folder: Path) -> None:
        pocket.mkdir(exist_ok=True)
        self.folder, self._away = folder, pocket / folder.name
        self.kind = next((kind for kind in _KINDS if self._is_made(kind)), "folder")
        if self.kind == "folder":
            self._away.unlink(missing_ok=True)
            self._away.mkdir()

    def plug_in(self) -> Path:
        """It appears; returns where."""
        if not self.folder.exists():
            if self.kind == "folder":
                self._away.rename(self.folder)
            else:
                self.folder.mkdir()
                self._mount(self.kind).check_returncode()
        return self.folder

    def pull_out(self) -> None:
        """It is gone, and so is its place."""
        if not self.folder.exists():
            return
        if self.kind == "folder":
            self.folder.rename(self._away)
        else:
            subprocess.run(["umount", str(self.folder)], check=True, capture_output=True)
            self.folder.rmdir()

    def __enter__(self) -> Self:
        self.plug_in()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.pull_out()

    def _is_made(self, kind: str) -> bool:
        """With a file system that can be mounted here."""
        make, _options = _KINDS[kind]
        if os.geteuid() != 0 or not shutil.which(make) or not shutil.which("mount"):
            return False
        with self._away.open("wb") as image:
            image.truncate(_BYTES)
        if subprocess.run([make, str(self._away)], capture_output=True, check=False).returncode:
            return False
        self.folder.mkdir()
        is_mounted = self._mount(kind).returncode == 0
        if is_mounted:
            shutil.rmtree(self.folder / "lost+found", ignore_errors=True)
            subprocess.run(["umount", str(self.folder)], check=True, capture_output=True)
        self.folder.rmdir()
        return is_mounted

    def _mount(self, kind: str) -> "subprocess.CompletedProcess[bytes]":
        command = ["mount", "-t", kind, "-o", _KINDS[kind][1], str(self._away), str(self.folder)]
        return subprocess.run(command, capture_output=True, check=False)


def demand_fat(folder: Path) -> None:
    """What lies there would lie on FAT as well: its names, links and sizes."""
    for path in folder.rglob("*"):
        assert not path.is_symlink(), path
        assert not _NEVER_ON_FAT & set(path.name), path
        assert not path.name.endswith((".", " ")), path
        assert path.stat().st_size <= _FAT_FILE_BYTES, path
        assert path.stat().st_nlink == 1 or path.is_dir(), path
    names = [str(path.relative_to(folder)).casefold() for path in folder.rglob("*")]
    assert len(names) == len(set(names)), "names that differ only in capitals"
