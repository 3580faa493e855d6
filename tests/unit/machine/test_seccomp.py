"""The filter of system calls, run through an interpreter of its own: what each call of each processor gets."""

import platform
import struct

import pytest

from appliance.machine import seccomp


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_answers_every_call_of_its_processor(machine: str) -> None:
    pid = 4711
    code = seccomp.program(machine, pid)
    architecture = seccomp._ARCHITECTURES[machine]
    column = 0 if machine == "x86_64" else 1
    allowed = {entry[column] for entry in seccomp._ALLOWED.values()}
    allowed |= set(seccomp._X86_ONLY.values()) if machine == "x86_64" else set()
    guarded = {entry[column] for entry in (*seccomp._KILL_OWN.values(), *seccomp._MAP.values(), seccomp._NEWFSTATAT)}
    for number in range(600):
        expected = seccomp._ALLOW if number in allowed else seccomp._ERRNO | 1
        if number not in guarded:
            assert verdict(code, architecture, number) == expected, number
    kill, mapping = seccomp._KILL_OWN["kill"][column], seccomp._MAP["mmap"][column]
    assert verdict(code, architecture, kill, pid) == seccomp._ALLOW
    assert verdict(code, architecture, kill, 1) == seccomp._ERRNO | 1
    assert verdict(code, architecture, mapping, 0, 4096, 3) == seccomp._ALLOW
    assert verdict(code, architecture, mapping, 0, 4096, 7) == seccomp._ERRNO | 1
    stat = seccomp._NEWFSTATAT[column]
    assert verdict(code, architecture, stat, 5, 0, 0, 0x1000) == seccomp._ALLOW
    assert verdict(code, architecture, stat, 5, 0, 0, 0) == seccomp._ERRNO | 1


def test_calls_of_another_architecture_end_the_process() -> None:
    assert verdict(seccomp.program("x86_64", 1), 0x40000003, 0) == seccomp._KILL
    assert verdict(seccomp.program("x86_64", 1), 0xC000003E, 0x40000000 | 1) == seccomp._KILL
    assert verdict(seccomp.program("aarch64", 1), 0x40000028, 63) == seccomp._KILL


def test_an_unknown_processor_has_no_filter() -> None:
    with pytest.raises(KeyError):
        seccomp.program("riscv64", 1)
    assert platform.machine() in seccomp._ARCHITECTURES


def verdict(code: bytes, architecture: int, number: int, *arguments: int) -> int:
    """What the kernel's interpreter makes of a call."""
    data = struct.pack("=IIQ6Q", number, architecture, 0, *arguments, *[0] * (6 - len(arguments)))
    steps = list(struct.iter_unpack("=HBBI", code))
    value = place = 0
    while True:
        operation, yes, no, operand = steps[place]
        place += 1
        if operation == seccomp._LOAD:
            value = struct.unpack_from("=I", data, operand)[0]
        elif operation == seccomp._RETURN:
            return int(operand)
        else:
            holds = value == operand if operation == seccomp._EQUAL else bool(value & operand)
            place += yes if holds else no
