"""The copy that a trial can be taken back to: what a release can change, nothing else, and what confirms it."""

from pathlib import Path

from appliance.bundle.update import snapshot


def fill(data: Path, word: str) -> None:
    (data / "audit").mkdir(parents=True, exist_ok=True)
    for name in ("hako.db", "hako.db-wal", "vault.json", "model-aliases.json", "audit/checkpoints"):
        (data / name).write_text(f"{name} {word}")


def test_everything_goes_back_together_and_what_is_new_goes(tmp_path: Path) -> None:
    data, kept = tmp_path / "data", tmp_path / "snapshot"
    fill(data, "before")
    (data / "log.txt").write_text("before")
    snapshot.take(data, kept)
    assert snapshot.size(data) == sum(path.stat().st_size for path in kept.rglob("*") if path.is_file())
    fill(data, "after")
    (data / "log.txt").write_text("after")
    (data / "new-list.json").write_text("after")
    for _ in range(2):  # cut off, it is done again
        snapshot.restore(data, kept)
        assert (data / "audit" / "checkpoints").read_text() == "audit/checkpoints before"
        assert (data / "hako.db").read_text() == "hako.db before"
        assert (data / "log.txt").read_text() == "after"
        assert not (data / "new-list.json").exists()
        assert not list(data.rglob("*.restored"))


def test_a_box_without_an_audit_log_yet_gets_none(tmp_path: Path) -> None:
    data, kept = tmp_path / "data", tmp_path / "snapshot"
    data.mkdir()
    (data / "vault.json").write_text("{}")
    snapshot.take(data, kept)
    (data / "audit").mkdir()
    (data / "audit" / "checkpoints").write_text("of the release on trial")
    snapshot.restore(data, kept)
    assert [path.name for path in data.rglob("*") if path.is_file()] == ["vault.json"]
