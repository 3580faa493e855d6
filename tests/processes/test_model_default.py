"""`hako models default` on a running box: what is asked without a model is answered by it, also after a start anew."""

from pathlib import Path

from appliance.inference.engines import scripted
from tests.simulators.served import ServedBox


def test_a_default_is_chosen_at_the_terminal_and_outlasts_a_restart(tmp_path: Path) -> None:
    with ServedBox(tmp_path / "d", models=None) as box:
        scripted.install(tmp_path / "d" / "scripted", "writer", "chat")
        chosen = box.hako("models", "default", "writer")
        assert (chosen.returncode, "“writer” is now the default model." in chosen.stdout) == (0, True), chosen.stderr
        refused = box.hako("models", "default", "embedder")
        assert (refused.returncode, "HK-MOD-044" in refused.stderr) == (1, True)
        assert "HK-MOD-045" in box.hako("models", "default", "talker", "--off").stderr
        assert box.stop() == 0
        box.start("--no-question")
        with box.client() as client:
            assert client.get("/models/writer")["default"]
            assert not client.get("/models/talker")["default"]
