"""The archive for containers: its layout, digests and configuration, and the same bytes for the same root."""

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from appliance import __version__
from appliance.errors import ContainerImageError
from appliance.image import customise, layers, oci, profiles

SITE = "opt/hako/base/lib/python3.11/site-packages"
FILES = {
    "./bin/sh": b"shell",
    f"./{SITE}/flask/app.py": b"flask",
    f"./{SITE}/appliance/config.py": b"ours",
    f"./{SITE}/webui/app.py": b"ours too",
    "./usr/share/hako/models/small/model.gguf": b"weights" * 999,
    "./usr/share/hako/release": b"0.1.0",
}


def root(
    path: Path, *, moment: int = 1_800_000_000, owner: str = "root", more: tuple[tarfile.TarInfo, ...] = ()
) -> Path:
    """A tiny root file system, as mmdebstrap writes one."""
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        folder = tarfile.TarInfo("./var/lib/hako")
        folder.type, folder.mode, folder.uid, folder.gid = tarfile.DIRTYPE, 0o700, customise.ACCOUNT, customise.ACCOUNT
        tar.addfile(folder)
        for name, content in FILES.items():
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.uname, member.gname = len(content), moment, owner, owner
            tar.addfile(member, io.BytesIO(content))
        device = tarfile.TarInfo("./dev/null")
        device.type = tarfile.CHRTYPE
        for member in (device, *more):
            tar.addfile(member)
    return path


def packed(folder: Path, **said: Any) -> Path:
    folder.mkdir()
    oci.write(layers.split(root(folder / "root.tar", **said), folder), folder / "image.tar", "x86_64")
    return folder / "image.tar"


def content(image: Path) -> dict[str, bytes]:
    with tarfile.open(image) as archive:
        opened = {member.name: archive.extractfile(member) for member in archive if member.isfile()}
        return {name: file.read() for name, file in opened.items() if file}


def blob(found: dict[str, bytes], described: dict[str, Any]) -> bytes:
    data = found[f"blobs/sha256/{described['digest'].removeprefix('sha256:')}"]
    assert len(data) == described["size"]
    return data


def test_each_digest_is_that_of_its_bytes_and_all_is_found_from_the_index(tmp_path: Path) -> None:
    found = content(packed(tmp_path / "a"))
    for name, data in found.items():
        if name.startswith("blobs/"):
            assert name == f"blobs/sha256/{hashlib.sha256(data).hexdigest()}"
    assert json.loads(found["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    (named,) = json.loads(found["index.json"])["manifests"]
    manifest = json.loads(blob(found, named))
    configuration = json.loads(blob(found, manifest["config"]))
    plain = [gzip.decompress(blob(found, layer)) for layer in manifest["layers"]]
    assert configuration["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(each).hexdigest()}" for each in plain]
    assert [each["created_by"] for each in configuration["history"]] == list(layers.NAMES)


def test_the_list_that_docker_reads_names_the_same_blobs(tmp_path: Path) -> None:
    found = content(packed(tmp_path / "a"))
    (older,) = json.loads(found["manifest.json"])
    manifest = json.loads(blob(found, json.loads(found["index.json"])["manifests"][0]))
    assert older["RepoTags"] == [f"hako:{__version__}"]
    assert older["Config"] == "blobs/sha256/" + manifest["config"]["digest"].removeprefix("sha256:")
    assert older["Layers"] == ["blobs/sha256/" + each["digest"].removeprefix("sha256:") for each in manifest["layers"]]


def test_the_same_root_makes_the_same_bytes_whoever_built_it_and_when(tmp_path: Path) -> None:
    first = packed(tmp_path / "a")
    assert first.read_bytes() == packed(tmp_path / "b", moment=1_900_000_000, owner="builder").read_bytes()


def test_what_changes_seldom_lies_below_and_nothing_is_lost(tmp_path: Path) -> None:
    whole = root(tmp_path / "root.tar")
    names = {}
    for layer in layers.split(whole, tmp_path):
        with tarfile.open(layer.file) as tar:
            names[layer.name] = {member.name for member in tar}
            assert {member.uname for member in tar} == {""}
    assert names["debian"] == {"bin/sh", "var/lib/hako"}
    assert names["python"] == {f"{SITE}/flask/app.py"}
    assert names["models"] == {"usr/share/hako/models/small/model.gguf"}
    assert names["box"] == {f"{SITE}/appliance/config.py", f"{SITE}/webui/app.py", "usr/share/hako/release"}


def test_the_volume_belongs_to_the_account_that_runs(tmp_path: Path) -> None:
    (debian, *_) = layers.split(root(tmp_path / "root.tar"), tmp_path)
    with tarfile.open(debian.file) as tar:
        data = tar.getmember(customise.DATA)
    told = oci.configuration([debian], "x86_64")["config"]
    assert (f"{data.uid}:{data.gid}", data.mode) == (told["User"], 0o700)
    assert told["Volumes"] == {f"/{customise.DATA}": {}}
    assert told["StopSignal"] == "SIGTERM"
    assert told["Entrypoint"] == ["/usr/bin/hako"]
    assert (profiles.FIRMWARE / "container" / told["Entrypoint"][0][1:]).is_file()


def test_accounts_bear_no_date_of_the_release(tmp_path: Path) -> None:
    shadow = tmp_path / "shadow"
    shadow.write_text("root:*:20758:0:99999:7:::\nhako:!:20758::::::\n", "ascii")
    shadow.chmod(0o640)
    customise.undate(shadow)
    assert shadow.read_text("ascii") == "root:*::0:99999:7:::\nhako:!:::::::\n"
    assert shadow.stat().st_mode & 0o777 == 0o640


def test_a_link_across_layers_is_refused(tmp_path: Path) -> None:
    link = tarfile.TarInfo("./usr/share/hako/models/small/sh")
    link.type, link.linkname = tarfile.LNKTYPE, "./bin/sh"
    with pytest.raises(ContainerImageError):
        layers.split(root(tmp_path / "root.tar", more=(link,)), tmp_path)


def test_a_machine_that_no_runtime_knows_is_refused() -> None:
    with pytest.raises(ContainerImageError):
        oci.configuration([], "pdp11")


def test_the_profile_leaves_out_what_only_a_machine_has() -> None:
    found = set(profiles.packages(profiles.container()))
    machine = {"linux-image-amd64", "initramfs-tools", "cryptsetup-bin", "usbguard", "systemd", "smartmontools", "udev"}
    assert not found & (machine | {"tpm2-tools", "nftables", "systemd-resolved"})
    assert {"python3", "python3-venv", "libgomp1", "openssl"} <= found
    assert profiles.CONTAINER not in profiles.names()
