"""`hako airgap` at a served box: a report into a file, verified after the box has stopped, and the tries to leave."""

from pathlib import Path

import pytest

from tests.simulators.served import ServedBox


@pytest.mark.slow  # a box and eight commands
def test_a_report_outlives_the_box_and_a_change_of_it_is_noticed(tmp_path: Path) -> None:
    out = tmp_path / "hako-airgap.json"
    with ServedBox(tmp_path / "v") as box:
        made = box.hako("airgap", "report", "--skip-files", "--out", str(out))
        assert (made.returncode, made.stderr) == (0, "")
        assert out.stat().st_mode & 0o777 == 0o600
        assert "Proof of the air gap" in out.with_suffix(".txt").read_text("utf-8")
        tried = box.hako("airgap", "test")
        # a box without units has a network of the machine's, unless this test runs where there is none
        assert tried.returncode in (0, 4), tried.stderr
        assert "Reading documents  TCP 192.0.2.1:443  refused  EPERM" in tried.stdout
        assert "left" not in {line.split("  ")[2] for line in tried.stdout.splitlines() if line.count("  ") >= 2}
    seen = box.hako("airgap", "verify", str(out))
    assert (seen.returncode, "The signature holds" in seen.stdout) == (0, True)
    fingerprint = seen.stdout.splitlines()[-1].split(": ")[1]
    assert box.hako("airgap", "verify", str(out), "--box", fingerprint, "--text").returncode == 0
    assert "HK-NET-010" in box.hako("airgap", "verify", str(out), "--box", "0" * 64).stderr
    out.write_text(out.read_text("utf-8").replace('"unknown"', '"ok"', 1), "utf-8")
    changed = box.hako("airgap", "verify", str(out))
    assert (changed.returncode, "HK-NET-010" in changed.stderr) == (1, True)
    assert box.hako("airgap", "report").returncode == 3
