"""A box on a server that is there already: what has to be done, step by step, and how it is taken back.

Each step looks first whether its work is done, so that all of it may be repeated at any time. Nothing outside of `root`
is touched where that is not this machine's own.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance import durable
from appliance.config import REPOSITORY
from appliance.errors import ServerStepError, ServerUnfitError
from appliance.image import base
from appliance.inference import golden

PACKED: Final = Path(__file__).resolve().parent.parent / "units"
"""In the wheel: all that lies in systemd/, and the few files of the image that a server needs, too."""
DATA: Final = Path("var/lib/hako")
SETTINGS: Final = DATA / "hako.toml"
MODELS: Final = Path("usr/share/hako/models")
RELEASES: Final = Path("opt/hako/releases")
_BESIDE: Final = (
    "usr/lib/systemd/system/hako-certificate.service", "usr/lib/systemd/system/hako-starter.service", "usr/sbin/hako",
)  # fmt: skip
_PLACES: Final = {
    "hako.sysusers.conf": "etc/sysusers.d/hako.conf",
    "hako.tmpfiles.conf": "etc/tmpfiles.d/hako.conf",
    "90-hako-usb.rules": "etc/udev/rules.d/90-hako-usb.rules",
    "hako.nft": "etc/hako/hako.nft",
    "hako": "usr/local/sbin/hako",
}
NOT_BUILT: Final = shutil.ignore_patterns(".*", golden.FILE_NAME)
"""Beside built models, for `copytree`: what one has answered on the machine where it lay says nothing of another."""
_UNITS: Final = "etc/systemd/system"
_PORT_FOLDER: Final = "hako-web.socket.d"
ENABLED: Final = (
    "hako.target", "hako-keys.service", "hako-web.socket", "hako-web.service", "hako-worker.service",
    "hako-inference.service", "hako-helper.socket", "hako-update-watch.service", "hako-update.path",
    "hako-health.service", "hako-airgap.timer", "hako-certificate.service", "hako-starter.service",
    "hako-egress.path", "hako-egress-rules.path",
)  # fmt: skip
FIREWALL: Final = "hako-firewall.service"
_BESIDE_THE_TARGET: Final = ("hako-web.socket", "hako-helper.socket", "hako-airgap.timer")
"""Enabled for other targets than the box's own, so its start alone doesn't bring them."""
_TOOLS: Final = ("systemctl", "systemd-sysusers", "systemd-tmpfiles", "openssl", "ip")


@dataclass(frozen=True)
class Wish:
    """What an operator has said. `source`: a release that `hako bundle collect` has gathered, for a new base."""

    root: Path = Path("/")
    source: Path | None = None
    models: Path | None = None
    """Built starter models, to be there from the first start."""
    port: int | None = None
    """Where the pages listen; as it is, or 443, when left out."""
    firewall: bool = False

    @property
    def is_live(self) -> bool:
        """Whether it is this machine, whose systemd runs."""
        return self.root == Path("/") and Path("/run/systemd/system").is_dir()


@dataclass(frozen=True)
class Step:
    """`kind` names its sentence, `what` the path or the words that it is about. `do`: whether it changed anything."""

    kind: str
    what: str
    do: Callable[[], bool]


class _Changed:
    """Whether one of several steps has changed anything."""

    def __init__(self) -> None:
        self.is_so = False

    def by(self, do: Callable[[], bool]) -> Callable[[], bool]:
        """The same step, with its outcome noted."""

        def noted() -> bool:
            done = do()
            self.is_so = self.is_so or done
            return done

        return noted


def demand_fit(wish: Wish, *, removing: bool = False) -> None:
    """Raises ServerUnfitError: not root, or a tool is missing, or nothing is there to run."""
    if os.geteuid() != 0:
        raise ServerUnfitError(need="root")
    for tool in _TOOLS:
        if shutil.which(tool) is None:
            raise ServerUnfitError(need=tool)
    if not removing and wish.source is None and not (wish.root / base.BASE / "bin" / "python").exists():
        raise ServerUnfitError(need="--from")


def steps(wish: Wish) -> Iterator[Step]:
    """In the order in which they are done. Each may raise ServerStepError, and what `base.make` raises.

    A box that runs is only restarted, and thereby sealed, where something of it was changed by a step before.
    """
    root, changed = wish.root, _Changed()
    if wish.source is not None:
        source = wish.source
        yield Step("base", f"/{base.BASE}", changed.by(lambda: base.make(source, root)))
    for name, content in sorted(_files(wish).items()):
        yield Step("file", f"/{name}", changed.by(_writing(root / name, content)))
    where = [f"--root={root}"] if root != Path("/") else []
    yield _tool("accounts", ["systemd-sysusers", *where, str(root / _PLACES["hako.sysusers.conf"])])
    yield _tool("folders", ["systemd-tmpfiles", *where, "--create", str(root / _PLACES["hako.tmpfiles.conf"])])
    yield Step("settings", f"/{SETTINGS}", changed.by(lambda: _settle(root / SETTINGS, wish.port)))
    if wish.models is not None:
        models = wish.models
        yield Step("models", f"/{MODELS}", lambda: _bring(models, root / MODELS))
    if wish.is_live:
        yield _tool("reload", ["systemctl", "daemon-reload"])
    units = [*ENABLED, *([FIREWALL] if wish.firewall else [])]
    yield _tool("enable", ["systemctl", *where, "--quiet", "enable", *units])
    if wish.is_live:
        verb = "restart" if changed.is_so else "start"
        yield _tool("start", ["systemctl", verb, "hako.target", *_BESIDE_THE_TARGET])


def removal(wish: Wish) -> Iterator[Step]:
    """What `steps` has brought, but neither data, releases' state, trust nor accounts: those may be of use again."""
    root = wish.root
    where = [f"--root={root}"] if root != Path("/") else []
    if wish.is_live:
        yield _tool("stop", ["systemctl", "stop", "hako*"], may_fail=True)  # its own pattern
    there = sorted(path for path in (root / _UNITS).glob("hako*") if path.is_file() and not path.is_symlink())
    if there:
        units = [path.name for path in there if "@" not in path.name]
        yield _tool("disable", ["systemctl", *where, "--quiet", "disable", *units])
    names = {f"{_UNITS}/{path.name}" for path in there} | {f"{_UNITS}/{_PORT_FOLDER}", *_PLACES.values()}
    for name in sorted(names):
        yield Step("remove", f"/{name}", _removing(root / name))
    for folder in (base.BASE, MODELS):
        yield Step("remove", f"/{folder}", _removing(root / folder))
    if wish.is_live:
        yield _tool("reload", ["systemctl", "daemon-reload"])


def with_tls(plain: str) -> str:
    """hako.toml, with the certificate that the machine makes for itself."""
    tls = 'tls_certificate = "/etc/hako/tls/box.pem"\ntls_key = "/etc/hako/tls/box.key"\n'
    return plain.replace("[web]\n", f"[web]\n{tls}", 1)


def _files(wish: Wish) -> dict[str, bytes]:
    """By where they go, from the root on."""
    found = {_PLACES.get(path.name, f"{_UNITS}/{path.name}"): path.read_bytes() for path in _packed()}
    found.pop(f"{_UNITS}/hako.toml")
    if wish.port is not None:
        found[f"{_UNITS}/{_PORT_FOLDER}/port.conf"] = f"[Socket]\nListenStream=\nListenStream={wish.port}\n".encode()
    return found


def _packed() -> list[Path]:
    if PACKED.is_dir():
        return sorted(path for path in PACKED.iterdir() if path.is_file())
    beside = REPOSITORY / "firmware-scripts" / "rootfs"
    return [*sorted((REPOSITORY / "systemd").iterdir()), *(beside / name for name in _BESIDE)]


def _writing(path: Path, content: bytes) -> Callable[[], bool]:
    mode = 0o755 if content.startswith(b"#!/bin/") else 0o644

    def write() -> bool:
        if path.is_file() and path.read_bytes() == content and path.stat().st_mode & 0o777 == mode:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        durable.replace(path, content, mode=mode)
        return True

    return write


def _removing(path: Path) -> Callable[[], bool]:
    def remove() -> bool:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
            return True
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        return True

    return remove


def _tool(kind: str, words: Sequence[str], *, may_fail: bool = False) -> Step:
    def run() -> bool:
        done = subprocess.run(words, capture_output=True, text=True, errors="replace", check=False)
        if done.returncode and not may_fail:
            raise ServerStepError((done.stderr + done.stdout)[-1000:], step=" ".join(words[:2]))
        return True

    return Step(kind, " ".join(words), run)


def _settle(path: Path, port: int | None) -> bool:
    """The settings of a box under units, once; the port also later. What an operator has written stays."""
    said = path.read_text("utf-8") if path.exists() else ""
    wanted = said
    if not said.strip():
        (plain,) = (each for each in _packed() if each.name == "hako.toml")
        wanted = with_tls(plain.read_text("utf-8"))
    if port is not None:
        wanted = re.sub(r"(?m)^port = \d+$", f"port = {port}", wanted, count=1)
    if wanted == said:
        return False
    durable.replace(path, wanted.encode(), mode=0o644)
    return True


def _bring(models: Path, where: Path) -> bool:
    """What is there already stays; `hako-starter.service` checks each file on the way to the box."""
    whole = [each for each in sorted(models.iterdir()) if each.is_dir() and not each.name.startswith(".")]
    fresh = [each for each in whole if not (where / each.name).exists()]
    for each in fresh:
        partly = where / f".{each.name}"
        shutil.rmtree(partly, ignore_errors=True)
        shutil.copytree(each, partly, ignore=NOT_BUILT, copy_function=shutil.copyfile)
        for path in [partly, *partly.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)
        partly.rename(where / each.name)
    return bool(fresh)
