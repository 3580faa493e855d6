"""Where everything lies on the disk: names, kinds and sizes of partitions, in sfdisk's words."""

from dataclasses import dataclass
from typing import Final

MIB: Final = 1 << 20
SLOTS: Final = ("a", "b")
TRIES: Final = 3
"""Starts of a slot that may come to nothing before the loader takes the other one."""
ESP: Final = "hako-esp"
DATA: Final = "hako-data"
FRESH: Final = "hako-data-new"
"""Of a data partition that isn't ready: it is made anew at the next start."""
VERITY_MIB: Final = 16
"""Enough for a tree over 2 GiB; more is taken for larger slots."""
_KINDS: Final = {
    "esp": "C12A7328-F81F-11D2-BA4B-00A0C93EC93B",
    "root": "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709",
    "verity": "2C7357ED-EBD2-46D9-AEC1-23D437EC2BF5",
    "data": "0FC63DAF-8483-4772-8E79-3D69D8477DE4",
}
_IDS: Final = "68616b6f-0000-4000-8000-0000000000{:02d}"
"""The same on every machine: found by name, and only on the disk that the system was started from."""


@dataclass(frozen=True)
class Partition:
    """`start` and `size` in MiB; a size of 0 is all that is left."""

    name: str
    kind: str
    start: int
    size: int
    number: int

    @property
    def line(self) -> str:
        """For `sfdisk`."""
        size = f"size={self.size}MiB, " if self.size else ""
        uuid = _IDS.format(self.number)
        return f'start={self.start}MiB, {size}type={_KINDS[self.kind]}, name="{self.name}", uuid={uuid}\n'


def root(slot: str) -> str:
    """The name of a slot's system."""
    return f"hako-root-{slot}"


def verity(slot: str) -> str:
    """The name of the tree of digests over it."""
    return f"hako-verity-{slot}"


def verity_mib(slot_mib: int) -> int:
    """Room for the tree: a 128th of what it is over, and a little more."""
    return max(VERITY_MIB, slot_mib // 100)


def plan(slot_mib: int, esp_mib: int) -> list[Partition]:
    """The whole disk. An image holds the first three; the machine makes the others at its first start."""
    tree = verity_mib(slot_mib)
    wanted = [
        (ESP, "esp", esp_mib),
        (root("a"), "root", slot_mib),
        (verity("a"), "verity", tree),
        (root("b"), "root", slot_mib),
        (verity("b"), "verity", tree),
        (FRESH, "data", 0),
    ]
    found, start = [], 1
    for number, (name, kind, size) in enumerate(wanted, 1):
        found.append(Partition(name, kind, start, size, number))
        start += size
    return found


def table(partitions: list[Partition]) -> str:
    """A new table, for `sfdisk`."""
    head = f"label: gpt\nlabel-id: {_IDS.format(0)}\nfirst-lba: 2048\n\n"
    return head + "".join(each.line for each in partitions)
