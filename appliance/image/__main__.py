"""`python -m appliance.image build|oci|boot-test|flash`: what the doors in `firmware-scripts/` and make call."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from appliance.config import REPOSITORY
from appliance.errors import HakoError, ImageStepError
from appliance.image import boot_test, build, flash, oci, profiles, slot
from appliance.image.profiles import Container, Profile
from appliance.image.rootfs import Inputs

_CACHE = REPOSITORY / ".build" / "image"
_SOURCES = (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list"))


def main(arguments: Sequence[str]) -> int:
    """0 if it was done; else 1, with the reason."""
    wish = _parser().parse_args(arguments)
    try:
        if wish.what == "build":
            return _build(wish, profiles.read(wish.profile))
        if wish.what == "oci":
            return _build(wish, profiles.container())
        if wish.what == "boot-test":
            return boot_test.main(wish.image, set(wish.part), _say, cores=wish.cores, memory_mib=wish.memory)
        return flash.main(wish.image, wish.disk, agreed=wish.yes, say=_say)
    except HakoError as error:
        params = " ".join(f"{name}={value}" for name, value in error.params.items())
        _say(f"✗ {error.code} {params}\n{error.detail}")
    return 1


def _build(wish: argparse.Namespace, profile: Profile | Container) -> int:
    sources = wish.sources or next((path for path in _SOURCES if path.is_file()), None)
    if sources is None:
        raise ImageStepError("no package sources: name them with --sources", step="sources")
    lock = REPOSITORY / "requirements" / f"{profile.flavour}.txt"
    wheels: Path = wish.wheels or _CACHE / "wheels" / profile.flavour
    paths = (sources.absolute(), wheels.absolute(), lock, wish.models.absolute())
    is_machine = isinstance(profile, Profile)
    out: Path = (wish.out or _CACHE / f"hako-{profile.name}.{'img' if is_machine else 'tar'}").absolute()
    rest = (out, wish.work.absolute(), _CACHE / "debs", _say)
    if isinstance(profile, Profile):
        system = wish.system.absolute() if wish.system else None
        figures = build.build(Inputs(profile, *paths, number=wish.number), *rest, system)
    else:
        figures = oci.build(Inputs(profile, *paths), *rest)
    _say(
        f"{out}: {figures.size / 1e6:.0f} MB, of which {figures.taken / 1e6:.0f} MB are taken; "
        f"{figures.packages} packages; {sum(figures.seconds.values()):.0f} s"
    )
    kind = "verity" if is_machine else "image "
    _say(f"sha256 {figures.sha256}\nroot   {figures.root_sha256}\n{kind} {figures.digest}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m appliance.image")
    commands = parser.add_subparsers(dest="what", required=True)
    making = commands.add_parser("build", help="make an image; as root")
    making.add_argument("--profile", default="generic", choices=profiles.names())
    making.add_argument("--number", type=int, default=slot.NUMBER, help="of the system; higher than the last one's")
    making.add_argument("--system", type=Path, help="new folder for what goes into a bundle of kind system")
    packing = commands.add_parser("oci", help="make an image for containers; as root")
    for each in (making, packing):
        each.add_argument("--sources", type=Path, help="package sources of apt; those of this machine when left out")
        each.add_argument("--wheels", type=Path, help="locked wheels and the box's own; those that make has fetched")
        each.add_argument("--models", type=Path, default=REPOSITORY / ".build" / "models")
        each.add_argument("--work", type=Path, default=_CACHE / "work")
        each.add_argument("--out", type=Path)
    trying = commands.add_parser("boot-test", help="start an image in an emulator and use it as a person does")
    trying.add_argument("image", type=Path)
    trying.add_argument("--part", action="append", choices=boot_test.PARTS, default=[], help="all when left out")
    trying.add_argument("--cores", type=int, default=2, help="emulated ones; on a busy computer one is quicker")
    trying.add_argument("--memory", type=int, default=3072, help="MiB")
    writing = commands.add_parser("flash", help="write an image to a whole disk or stick; as root")
    writing.add_argument("image", type=Path)
    writing.add_argument("disk", type=Path)
    writing.add_argument("--yes", action="store_true", help="all that is on the disk may go")
    return parser


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
