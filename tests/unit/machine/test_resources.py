"""What is free and what is taken, in a control group with a limit too."""

import mmap
import os
from pathlib import Path

import pytest

from appliance.machine import resources

MIB = 1 << 20


def test_in_a_control_group_remembered_files_count_as_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "_CGROUP", tmp_path)
    (tmp_path / "memory.max").write_text(f"{100 * MIB}\n")
    (tmp_path / "memory.current").write_text(f"{90 * MIB}\n")
    assert resources.available() == 10 * MIB
    (tmp_path / "memory.stat").write_text(f"anon 5\nactive_file {20 * MIB}\ninactive_file {3 * MIB}\n")
    assert resources.available() == 33 * MIB
    assert resources.total() == 100 * MIB
    (tmp_path / "memory.max").write_text("max\n")
    assert resources.available() > 33 * MIB


def test_pages_of_a_file_that_were_read_are_mapped(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(bytes(16 * MIB))
    before = resources.mapped(os.getpid())
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as weights:
        assert sum(weights[:: mmap.PAGESIZE]) == 0
        assert resources.mapped(os.getpid()) - before > 12 * MIB
    assert resources.mapped(1 << 30) == 0


def test_what_a_process_has_read_of_a_folders_files_is_counted_mapped_or_not(tmp_path: Path) -> None:
    for name in ("weights", "words"):
        (tmp_path / name).write_bytes(bytes(16 * MIB))
    assert resources.read_of(os.getpid(), tmp_path) == 0
    weights, words = (tmp_path / "weights").open("rb"), (tmp_path / "words").open("rb", buffering=0)
    with weights, words, mmap.mmap(weights.fileno(), 0, prot=mmap.PROT_READ) as mapping:
        mapping.madvise(mmap.MADV_RANDOM)  # so that no more is taken in than what is asked for
        half = sum(mapping[: 8 * MIB : mmap.PAGESIZE])
        read = resources.read_of(os.getpid(), tmp_path)
        assert half == 0
        assert 8 * MIB <= read <= 16 * MIB
        assert len(words.read(3 * MIB)) == 3 * MIB
        assert resources.read_of(os.getpid(), tmp_path) - read == 3 * MIB
        assert resources.read_of(os.getpid(), tmp_path / "other") == 0
    assert resources.read_of(1 << 30, tmp_path) == 0


def test_what_the_processor_can_do_is_read_as_the_kernel_says_it(tmp_path: Path) -> None:
    said = tmp_path / "cpuinfo"
    said.write_text("processor\t: 0\nflags\t\t: fpu avx2 fma\nprocessor\t: 1\nflags\t\t: fpu\n")
    assert resources.cpu_flags(said) == {"fpu", "avx2", "fma"}
    said.write_text("processor : 0\nFeatures : asimd sve\n")
    assert resources.cpu_flags(said) == {"asimd", "sve"}
    assert resources.cpu_flags(tmp_path / "none") == frozenset()


def test_a_gpu_is_there_when_its_driver_shows_one(tmp_path: Path) -> None:
    (tmp_path / "nvidiactl").touch()
    assert not resources.has_gpu(tmp_path)
    (tmp_path / "nvidia0").touch()
    assert resources.has_gpu(tmp_path)
