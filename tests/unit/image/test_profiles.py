"""Profiles: those that ship can be used, and a wrong one is named with the place of its fault."""

from pathlib import Path

import pytest

from appliance import config
from appliance.config import REPOSITORY
from appliance.errors import ProfileError
from appliance.image import customise, profiles


@pytest.mark.parametrize("name", profiles.names())
def test_a_profile_that_ships_can_be_used(name: str, tmp_path: Path) -> None:
    profile = profiles.read(name)
    assert (REPOSITORY / "requirements" / f"{profile.flavour}.txt").is_file()
    found = profiles.packages(profile)
    assert {"linux-image-amd64", "cryptsetup-bin", "nftables", "usbguard"} <= set(found)
    assert found == sorted(set(found))
    plain = (REPOSITORY / "systemd" / "hako.toml").read_text("utf-8")
    (tmp_path / "hako.toml").write_text(customise.settings(plain, profile), "utf-8")
    settings = config.load(data_dir=tmp_path)
    assert settings.web.tls_certificate == Path("/etc/hako/tls/box.pem")
    assert settings.inference.parallel == profile.inference.get("parallel", config.Inference().parallel)


def test_only_a_profile_that_says_so_has_a_way_in_over_the_network() -> None:
    plain = profiles.read("generic")
    assert "openssh-server" not in profiles.packages(plain)
    assert "openssh-server" in profiles.packages(plain.model_copy(update={"sshd": True}))


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ('packages = ["base"]\nflavour = "run"\nslot_mib = 12\nesp_mib = 256', "slot_mib"),
        ('packages = ["base"]\nflavour = "none"\nslot_mib = 1024\nesp_mib = 256', "flavour"),
        ('packages = ["../base"]\nflavour = "run"\nslot_mib = 1024\nesp_mib = 256', "packages.0"),
        (
            'packages = ["base"]\nflavour = "run"\nslot_mib = 1024\nesp_mib = 256\n[inference]\nparalel = 1',
            "inference.paralel",
        ),
        ("packages = [", "odd.toml"),
    ],
)
def test_a_fault_is_named(said: str, field: str, tmp_path: Path) -> None:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "odd.toml").write_text(said, "utf-8")
    with pytest.raises(ProfileError) as caught:
        profiles.read("odd", tmp_path)
    assert caught.value.params["name"] == "odd"
    assert str(caught.value.params["field"]).startswith(field.split(".", maxsplit=1)[0])


def test_a_list_with_what_is_no_package_is_refused(tmp_path: Path) -> None:
    (tmp_path / "packages").mkdir()
    (tmp_path / "packages" / "base.txt").write_text("# words\nnano\n--force-yes\n", "utf-8")
    profile = profiles.read("generic")
    with pytest.raises(ProfileError) as caught:
        profiles.packages(profile, tmp_path)
    assert caught.value.params["field"] == "base"
