"""The kind of processor, out of what the kernel says of it."""

from appliance.machine import cpu


def test_only_instructions_that_change_results_are_named() -> None:
    lines = ["processor\t: 0", "model name\t: Some CPU @ 2 GHz", "flags\t\t: fpu sse2 fma avx avx2 avx512_vnni"]
    assert cpu.kind_of(lines) == "avx avx2 fma avx512_vnni"
    assert cpu.kind_of(["Features\t: fp asimd asimddp i8mm"]) == "asimddp i8mm"


def test_a_processor_without_any_is_plain() -> None:
    assert cpu.kind_of([]) == cpu.kind_of(["flags : fpu sse2"]) == "plain"


def test_it_does_not_change_while_the_box_runs() -> None:
    assert cpu.kind() == cpu.kind() != ""
