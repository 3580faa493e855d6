"""The jailed child that reads a WARC file: `python -m appliance.knowledge.web.child`, the open file as its input.

It shuts itself in before the first byte, and tells on standard output what it finds, as `wire` says.
"""

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from appliance.knowledge.sandbox.zygote import preload
from appliance.knowledge.web import pages, wire
from appliance.machine import jail
from appliance.warc import urls
from appliance.warc.records import Records, WarcError, WarcTooLargeError


@dataclass(frozen=True)
class Orders:
    """From which record on, which records not to open again, and how much memory there is."""

    first: int
    unreadable: tuple[int, ...]
    memory_bytes: int
    cpu_seconds: int


def _told(orders: Orders) -> Iterator[wire.Line]:
    with open(0, "rb", buffering=0, closefd=False) as file:
        try:
            for found in pages.walk(Records(file), orders.first, frozenset(orders.unreadable)):
                yield wire.line_of(found)
        except WarcError as error:
            yield wire.RefusedLine(too_large=isinstance(error, WarcTooLargeError), why=str(error))
        else:
            yield wire.EndLine()


def main(orders: Orders) -> None:
    """The child. Ends at once: what an ordinary end would do is forbidden in the jail."""
    preload()
    urls.plain("http://[::1]/")
    wire.read(wire.EndLine().model_dump_json().encode())
    jail.enter(jail.Limits(memory_bytes=orders.memory_bytes, cpu_seconds=orders.cpu_seconds))
    code = 1
    try:
        for line in _told(orders):
            rest = memoryview(line.model_dump_json().encode() + b"\n")
            while rest:
                rest = rest[os.write(1, rest) :]
        code = 0
    finally:
        os._exit(code)


if __name__ == "__main__":
    main(Orders(**json.loads(sys.argv[1])))
