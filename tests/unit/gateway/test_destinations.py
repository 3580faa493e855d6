"""What may be a destination, and the list of them on the disk."""

import json
from pathlib import Path
from typing import Any

import pytest

from appliance.errors import (
    BadInputError,
    ConflictError,
    DestinationForbiddenError,
    DestinationsDamagedError,
    NotFoundError,
    PrivateDestinationError,
    PublicDestinationError,
)
from appliance.gateway.addresses import parse_url
from appliance.gateway.destinations import Destination, Destinations, FarModel, pinned, plain_fingerprint


def made(**more: Any) -> Destination:
    values = {"name": "lab", "url": "http://lab.internal:1234/v1", "address": "10.0.0.5", "private": True}
    return Destination(**{**values, **more})


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254", "169.254.0.1", "::ffff:169.254.169.254", "fe80::1", "fe80::1%eth0", "0.0.0.0", "::",
        "224.0.0.1", "ff02::1", "255.255.255.255", "240.0.0.1", "fd00:ec2::254", "168.63.129.16", "100.100.100.200",
        "64:ff9b::a00:5", "2002:a00:5::", "::10.0.0.5",
    ],
)  # fmt: skip
def test_some_addresses_are_never_a_destination(address: str) -> None:
    with pytest.raises(DestinationForbiddenError):
        made(address=pinned("http://lab/v1", address), private=True, open_gap=True)


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "127.9.9.9", "::1", "10.1.2.3", "172.31.0.1", "192.168.1.1", "100.64.0.1", "fd12::1"]
)
def test_the_box_and_its_own_network_need_to_be_meant(address: str) -> None:
    with pytest.raises(PrivateDestinationError):
        made(address=address, private=False, open_gap=True)
    assert made(address=address).address == address


@pytest.mark.parametrize("address", ["192.0.2.1", "8.8.8.8", "2600::1", "172.32.0.1"])
def test_an_outside_address_needs_the_word_that_opens_the_gap(address: str) -> None:
    with pytest.raises(PublicDestinationError):
        made(address=address, private=True)
    assert made(address=address, open_gap=True).open_gap


def test_an_address_of_ipv4_in_the_clothes_of_ipv6_is_what_it_is() -> None:
    assert pinned("http://lab/v1", "::ffff:10.0.0.5") == "10.0.0.5"
    with pytest.raises(PrivateDestinationError):
        made(address=pinned("http://[::ffff:127.0.0.1]/v1", None), private=False)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://lab/v1", "file:///etc/passwd", "lab:1234", "http://", "http://user@lab/v1", "http://user:word@lab/v1",
        "http://lab/v1#part", "http://lab/v1?x=1", "http://lab/../v1", "http://lab//v1", "http://lab:0/v1",
        "http://lab:99999/v1", "http://lab/v1\r\nHost: other", "http://lab/v1\n", "http://lab/%2e%2e/", "http://[::1/v1",
        "http://研究室/v1", "http://lab/" + "x" * 400,
    ],
)  # fmt: skip
def test_a_url_is_scheme_host_port_and_plain_path(url: str) -> None:
    with pytest.raises(BadInputError):
        made(url=url)


def test_a_url_without_a_path_means_v1() -> None:
    place = parse_url("HTTPS://Lab.internal")
    assert (place.tls, place.host, place.port, place.path) == (True, "lab.internal", 443, "/v1")
    assert parse_url("http://lab:11434/").path == ""
    assert parse_url("http://lab:80/api/v1/").path == "/api/v1"
    assert parse_url("http://[fd12::1]:8000/v1").host_header == "[fd12::1]:8000"
    assert parse_url("https://lab/v1").host_header == "lab"


def test_a_name_needs_an_address_and_an_address_can_not_have_another() -> None:
    with pytest.raises(BadInputError):
        pinned("http://lab/v1", None)
    assert pinned("http://10.0.0.5:1234/v1", None) == "10.0.0.5"
    with pytest.raises(BadInputError):
        made(url="http://10.0.0.6/v1")


def test_certificates_are_checked_when_they_are_named() -> None:
    printed = ":".join(["AB"] * 32)
    fingerprint = plain_fingerprint(printed)
    assert made(url="https://lab/v1", fingerprint=fingerprint).identifies(b"other") is False
    for wrong in ({"fingerprint": fingerprint}, {"url": "https://lab/v1", "fingerprint": "ab"}):
        with pytest.raises(BadInputError):
            made(**wrong)
    with pytest.raises(BadInputError):
        made(url="https://lab/v1", ca="not a certificate")


def test_the_list_is_private_and_survives_and_forgets(tmp_path: Path) -> None:
    path = tmp_path / "destinations.json"
    store, other = Destinations(path), Destinations(path)
    assert store.all() == {}
    store.add(made(models=(FarModel(name="qwen/qwen3:4b"), FarModel(name="e5", kind="embedding"))))
    assert path.stat().st_mode & 0o777 == 0o600
    assert other.get("lab") == made(models=(FarModel(name="qwen/qwen3:4b"), FarModel(name="e5", kind="embedding")))
    with pytest.raises(ConflictError):
        other.add(made(address="10.0.0.6"))
    assert store.remove("lab").name == "lab"
    assert other.all() == {}
    with pytest.raises(NotFoundError):
        other.remove("lab")


def test_a_list_that_was_tampered_with_leads_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "destinations.json"
    store = Destinations(path)
    store.add(made())
    entry = json.loads(path.read_text("utf-8"))[0]
    for change in ({"address": "169.254.169.254"}, {"private": False}, {"url": "file:///x"}, {"extra": 1}):
        path.write_text(json.dumps([{**entry, **change}]), "utf-8")
        assert store.all() == {}
    path.write_text("{", "utf-8")
    assert store.all() == {}


@pytest.mark.parametrize("content", [b"{", b"", b"[{}]", b"\xff", b'[{"name": "lab"}]'])
def test_a_list_that_can_not_be_read_is_kept_and_nothing_is_added(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "destinations.json"
    store = Destinations(path)
    path.write_bytes(content)
    for attempt in (
        lambda: store.add(made()),
        lambda: store.demand_free("lab"),
        lambda: store.remove("lab"),
        lambda: store.get("lab"),
    ):
        with pytest.raises(DestinationsDamagedError):
            attempt()
    assert store.all() == {}
    assert path.read_bytes() == content


def test_a_list_that_is_a_folder_can_not_be_read_either(tmp_path: Path) -> None:
    (tmp_path / "destinations.json").mkdir()
    with pytest.raises(DestinationsDamagedError) as refused:
        Destinations(tmp_path / "destinations.json").add(made())
    assert refused.value.params == {"name": "destinations.json"}


@pytest.mark.parametrize("name", ["", "Lab", "lab/x", "-lab", "l" * 41, "lab.x"])
def test_a_destination_has_a_plain_name(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        made(name=name)
