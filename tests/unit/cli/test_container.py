"""What a container sees to at each start: settings once, a certificate, and folders that it can't use."""

import os
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance import config, modes
from appliance.cli import container
from appliance.errors import ContainerDataError, ContainerSettingsError


@pytest.fixture(autouse=True)
def own() -> Iterator[None]:
    before = os.umask(modes.umask())
    yield
    os.umask(before)


def named(file: Path) -> set[str]:
    told = ssl._ssl._test_decode_cert(str(file))  # type: ignore[attr-defined]
    return {value for _kind, value in told["subjectAltName"]}


def test_the_first_start_makes_settings_and_a_certificate_and_the_next_ones_leave_them(tmp_path: Path) -> None:
    data = tmp_path / "data"
    container.settle(data, ["192.0.2.20", "ward.local", 'odd"name'])
    settings = config.load(data_dir=data)
    assert (settings.container, settings.web.host, settings.web.port) == (True, "0.0.0.0", 4256)
    assert settings.web.names == ("192.0.2.20", "ward.local", 'odd"name')
    certificate = settings.web.tls_certificate
    assert certificate is not None
    assert {"192.0.2.20", "ward.local", "localhost", "127.0.0.1"} <= named(certificate)
    assert (data / "hako.toml").stat().st_mode & 0o077 == 0
    before = certificate.read_bytes()
    container.settle(data, ["192.0.2.99"])
    assert (config.load(data_dir=data), certificate.read_bytes()) == (settings, before)


def test_settings_of_another_kind_of_box_are_refused(tmp_path: Path) -> None:
    (tmp_path / "hako.toml").write_text("name = 'Ward 3'\n", "utf-8")
    with pytest.raises(ContainerSettingsError):
        container.settle(tmp_path, [])
    assert [path.name for path in tmp_path.iterdir()] == ["hako.toml"]


def test_a_folder_that_is_somebody_elses_is_refused_by_the_number_that_it_should_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4256)
    with pytest.raises(ContainerDataError) as caught:
        container.settle(tmp_path, [])
    assert caught.value.params == {"name": str(tmp_path), "account": 4256}
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("host", "found"), [("0123456789ab", []), ("ward", ["ward.local"]), ("no name", [])])
def test_the_containers_own_name_counts_unless_the_runtime_made_it_up(
    host: str, found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container.socket, "gethostname", lambda: host)
    assert list(container._local(["ward3.example", "192.0.2.20"])) == found
