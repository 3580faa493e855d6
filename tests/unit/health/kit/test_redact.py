"""What may leave in a support kit: nothing that somebody has named, placed or said."""

import json
from pathlib import Path

from appliance.config import Settings
from appliance.health.finding import Finding
from appliance.health.kit import redact

MARK = "zanzibar"


def test_settings_tell_figures_and_choices_and_no_names_places_or_addresses(tmp_path: Path) -> None:
    place = tmp_path / MARK
    told = redact.settings(
        Settings.model_validate(
            {
                "data_dir": place,
                "name": f"{MARK}-box",
                "organisation": f"{MARK} hospital",
                "models_dir": place / "models",
                "web": {
                    "host": "192.168.7.31",
                    "port": 4321,
                    "names": [f"{MARK}.example"],
                    "tls_certificate": place / "c.pem",
                    "tls_key": place / "k.pem",
                },
                "storage": {"media": [place]},
                "backup": {"folder": place, "hours": 24},
                "inference": {"chat_model": "talker", "provider": "cuda", "threads": 3},
                "accounts": {
                    name: f"{MARK}-{name}" for name in ("keys", "web", "worker", "inference", "egress", "health")
                },
                "sockets_dir": place,
            }
        )
    )
    text = json.dumps(told)
    assert MARK not in text
    assert "192.168" not in text
    assert (told["web"]["port"], told["web"]["names"], told["backup"]["hours"]) == (4321, 1, 24)
    assert (told["inference"]["chat_model"], told["inference"]["provider"]) == ("talker", "cuda")
    assert (told["data_dir"], told["web"]["tls_key"], told["releases_dir"]) == (redact.LEFT_OUT, redact.LEFT_OUT, None)
    assert set(told) == set(Settings.model_fields)


def test_params_keep_figures_and_words_of_the_hardware() -> None:
    kept = redact.figures(
        {"percent": 91, "disk": "nvme0n1", "ups": MARK, "folder": f"/media/{MARK}", "unit": "hako-web.service"}
    )
    assert kept == {
        "percent": 91,
        "disk": "nvme0n1",
        "ups": redact.LEFT_OUT,
        "folder": redact.LEFT_OUT,
        "unit": "hako-web.service",
    }
    assert redact.figures({"unit": f"{MARK}.service", "model": "夜の議事録"}) == {
        "unit": redact.LEFT_OUT,
        "model": redact.LEFT_OUT,
    }


def test_a_finding_leaves_without_what_tells_it_from_others() -> None:
    told = redact.finding(Finding("ups", "worn", "warning", "HK-HLT-008", {"ups": MARK}, subject=MARK))
    assert MARK not in json.dumps(told)
    assert (told["check"], told["name"], told["code"]) == ("ups", "worn", "HK-HLT-008")
