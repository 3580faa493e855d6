"""`hako bundle`: the publisher's side of what comes by stick, which needs no box; the box's is in `bundle_taking`."""

import secrets
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import cast

import click

from appliance import clock
from appliance.bundle import request as requests
from appliance.bundle import shelf, web_packs
from appliance.bundle.checking import check
from appliance.bundle.index import Index, Kind, Requires, Text
from appliance.bundle.publish import cutting, keys
from appliance.bundle.publish.repository import ROLE_NAMES, Repository, Share
from appliance.bundle.reading import Reading
from appliance.bundle.trust.state import TrustStore
from appliance.bundle.update import release as releases
from appliance.bundle.update import system as systems
from appliance.cli import bundle_documents, bundle_export, bundle_release, bundle_taking, bundle_web, bundle_zim
from appliance.cli.amounts import size
from appliance.cli.context import demand_private, reports_errors, say
from appliance.config import Limits
from appliance.errors import BadInputError, BundleInvalidError

_ROOT_BYTES = 512_000

_Folder = click.Path(path_type=Path, file_okay=False)
_File = click.Path(path_type=Path, dir_okay=False)


@click.group("bundle")
def group() -> None:
    """Make signed sticks, check them, and take them."""


_OF_THE_BOX = (
    bundle_taking.trust, bundle_taking.look, bundle_taking.take, bundle_taking.accept_stale, bundle_taking.request,
    *bundle_documents.COMMANDS,
)  # fmt: skip
for _command in (bundle_release.collect, bundle_export.export_onnx, bundle_web.web, bundle_zim.zim, *_OF_THE_BOX):
    group.add_command(_command)


@group.command()
@click.argument("name")
@click.option("--into", type=_Folder, default=Path(), help="Folder for the two files; here when left out.")
@click.option("--passphrase-file", type=_File, help="File of mode 600 with the passphrase; asked for when left out.")
@click.option("--token", is_flag=True, help="The key is in a hardware token; PYKCS11LIB names its driver.")
@click.option("--token-label", help="Which token, where several are plugged in.")
@click.option("--token-key", type=click.IntRange(0, 255), default=2, show_default=True, help="Its key's number.")
@reports_errors
def keygen(
    name: str, into: Path, passphrase_file: Path | None, token: bool, token_label: str | None, token_key: int
) -> None:
    """Make a signing key: NAME.key.json for its holder, NAME.pub.json for everybody."""
    if token or token_label:
        pin = _passphrase(passphrase_file, new=False, of="pin")
        made = keys.from_token(into, name, token_label, token_key, pin)
    else:
        made = keys.generate(into, name, _passphrase(passphrase_file, new=True))
    click.echo(say("cli.bundle.key_made", keyid=made.keyid))


@group.command()
@click.argument("repository", type=_Folder)
@click.option("--key", "named", multiple=True, help="ROLE=FILE, a public key of that role; may be repeated.")
@click.option("--threshold", "thresholds", multiple=True, help="ROLE=NUMBER of signatures; more than half if left out.")
@reports_errors
def ceremony(repository: Path, named: tuple[str, ...], thresholds: tuple[str, ...]) -> None:
    """Write the first root, which boxes will trust; it is then signed by each holder."""
    made = Repository(repository, clock.now())
    made.found(_shares(named, thresholds))
    _show_standing(made)


@group.command()
@click.argument("repository", type=_Folder)
@click.option("--key", "named", multiple=True, help="ROLE=FILE, a public key of that role; may be repeated.")
@click.option("--threshold", "thresholds", multiple=True, help="ROLE=NUMBER of signatures; more than half if left out.")
@reports_errors
def rotate(repository: Path, named: tuple[str, ...], thresholds: tuple[str, ...]) -> None:
    """Give top roles other keys: the next root, signed by the old and the new holders."""
    made = Repository(repository, clock.now())
    made.rotate(_shares(named, thresholds))
    _show_standing(made)


@group.command()
@click.argument("repository", type=_Folder)
@click.argument("key", type=_File)
@click.option("--passphrase-file", type=_File, help="File of mode 600 with the passphrase; asked for when left out.")
@reports_errors
def sign(repository: Path, key: Path, passphrase_file: Path | None) -> None:
    """Sign with one holder's key, wherever it counts, and say what is still missing."""
    opened = Repository(repository, clock.now())
    of = "pin" if keys.is_in_token(key) else "passphrase"
    signed = opened.sign(keys.opened(key, _passphrase(passphrase_file, new=False, of=of)))
    click.echo(say("cli.bundle.signed", roles=", ".join(signed) or "-"))
    _show_standing(opened)


@group.command()
@click.argument("repository", type=_Folder)
@click.argument("folder", type=_Folder)
@click.option("--kind", type=click.Choice(["models", "knowledge", "apps", "web", "release", "system"]), required=True)
@click.option("--name", required=True, help="Small letters, digits, dots and hyphens.")
@click.option("--version", required=True)
@click.option("--licence", required=True, help="SPDX name.")
@click.option("--title-ja", default="")
@click.option("--title-en", default="")
@click.option("--notes-ja", type=_File, help="Text file of release notes in Japanese.")
@click.option("--notes-en", type=_File, help="Text file of release notes in English.")
@click.option("--source", default="", help="Where the content comes from.")
@click.option("--counter", type=click.IntRange(0), default=0, help="Releases: one more than the last one's.")
@click.option("--floor", type=click.IntRange(0), default=0, help="Releases: no lower counter may run afterwards.")
@click.option("--irreversible", is_flag=True, help="Once installed, there is no way back.")
@click.option("--base", default="", help="NAME VERSION of the bundle that a thin one builds on.")
@click.option("--device", default="", help="Name of the one box that it is for.")
@click.option("--memory-mb", type=click.IntRange(0), default=0, help="Memory that a box must have.")
@click.option("--for", "request", type=_File, help="What `hako bundle request` wrote: says how much its box has.")
@reports_errors
def build(
    repository: Path, folder: Path, kind: str, name: str, version: str, licence: str, title_ja: str, title_en: str,
    notes_ja: Path | None, notes_en: Path | None, source: str, counter: int, floor: int, base: str, device: str,
    memory_mb: int, request: Path | None, *, irreversible: bool,
) -> None:  # fmt: skip
    """Cut what is in FOLDER into parts and publish it; it is then signed by each holder."""
    opened = Repository(repository, clock.now())
    is_knowledge, has_programs = kind == "knowledge", kind not in ("knowledge", "system")
    if is_knowledge:
        _demand_told(title_ja, title_en, source)
    if kind == "system" and not counter:
        counter = systems.parsed(_read(folder / systems.MANIFEST, _ROOT_BYTES)).number
    files = cutting.cut(folder, repository / "parts", programs=has_programs)
    try:
        index = Index(
            format=1,
            kind=cast("Kind", kind),
            name=name,
            version=version,
            counter=counter,
            floor=floor,
            issued=int(clock.now()),
            title=Text(ja=title_ja or title_en or name, en=title_en or title_ja or name),
            notes=Text(ja=_words(notes_ja), en=_words(notes_en)),
            licence=licence,
            provenance={"source": source} if source else {},
            requires=Requires(base=base, device=device, memory_bytes=memory_mb << 20),
            irreversible=irreversible,
            files=files,
        )
    except ValueError as error:
        raise BundleInvalidError(f"index: {type(error).__name__}") from error
    if is_knowledge:
        shelf.demand_sizes((file.size for file in index.files), Limits().upload_mb << 20)
    if index.kind == "release":
        releases.manifest_of(index, lambda file: (folder / file.path).read_bytes())
    if index.kind == "system":
        systems.manifest_of(index, lambda file: (folder / file.path).read_bytes())
    if index.kind == "web":
        web_packs.snapshots_of(index, lambda file: (folder / file.path).read_bytes())
    digest = opened.add(index)
    click.echo(say("cli.bundle.built", name=name, version=version, files=len(files), size=size(index.size)))
    click.echo(digest)
    if request is not None:
        box = requests.read(_read(request, requests.LONGEST + 1))
        had = sum(part.size for part in index.parts if part.sha256 in box.held(index))
        sizes = {"had": size(had), "size": size(index.size), "free": size(box.free_bytes)}
        click.echo(say("cli.bundle.for_box", box=box.box, **sizes))
    _show_standing(opened)


@group.command()
@click.argument("repository", type=_Folder)
@click.argument("stick", type=_Folder)
@click.option("--only", multiple=True, help="Digest of a bundle; all of them when left out. May be repeated.")
@click.option("--leave-out", multiple=True, help="Digest of a bundle that the box has: its parts are left out.")
@click.option("--for", "request", type=_File, help="What `hako bundle request` wrote: what its box has is left out.")
@reports_errors
def write(
    repository: Path, stick: Path, only: tuple[str, ...], leave_out: tuple[str, ...], request: Path | None
) -> None:
    """Write what is published and wholly signed to a stick or a folder."""
    opened = Repository(repository, clock.now())
    known = [index for digest, index in opened.indexes() if digest in leave_out]
    had = {part.sha256 for index in known for part in index.parts}
    if request is not None:
        box = requests.read(_read(request, requests.LONGEST + 1))
        had.update(*(box.held(index) for _digest, index in opened.indexes()))
    click.echo(say("cli.bundle.written", size=size(cutting.write(opened, stick, only, had))))


@group.command()
@click.argument("repository", type=_Folder)
@reports_errors
def status(repository: Path) -> None:
    """Say who has still to sign."""
    _show_standing(Repository(repository, clock.now()))


@group.command()
@click.argument("stick", type=_Folder)
@click.option("--root", type=_File, required=True, help="The root that is trusted, e.g. metadata/1.root.json.")
@reports_errors
def inspect(stick: Path, root: Path) -> None:
    """Say what lies on a stick, as far as it is signed under this root."""
    with tempfile.TemporaryDirectory(prefix="hako-") as memory, _reading(stick, root, Path(memory)) as reading:
        _show(reading)


@group.command()
@click.argument("stick", type=_Folder)
@click.option("--root", type=_File, required=True, help="The root that is trusted, e.g. metadata/1.root.json.")
@reports_errors
def verify(stick: Path, root: Path) -> None:
    """Read every byte of a stick and check it against what is signed under this root."""
    with tempfile.TemporaryDirectory(prefix="hako-") as memory, _reading(stick, root, Path(memory)) as reading:
        _show(reading)
        for offer in reading.offers:
            missing = check(reading.medium, offer.index)
            key = "cli.bundle.sound" if not missing else "cli.bundle.thin"
            click.echo(say(key, name=offer.index.name, version=offer.index.version, size=size(missing)))


@group.command()
@click.argument("repository", type=_Folder)
@click.argument("before")
@click.argument("after")
@reports_errors
def diff(repository: Path, before: str, after: str) -> None:
    """Say which files differ between two bundles, named by the digests that `build` printed."""
    known = dict(Repository(repository, clock.now()).indexes())
    try:
        old, new = ({file.path: file for file in known[digest].files} for digest in (before, after))
    except KeyError as error:
        raise BundleInvalidError("no such bundle") from error
    for path in sorted({*old, *new}):
        sign_of = "-" if path not in new else "+" if path not in old else "*" if old[path] != new[path] else ""
        if sign_of:
            click.echo(f"{sign_of} {path}")


def _reading(stick: Path, root: Path, memory: Path) -> Reading:
    """A look with no memory but this one: a publisher's own check, where a box would remember."""
    store = TrustStore(memory, secrets.token_bytes(32))
    return Reading(stick, _read(root, _ROOT_BYTES), store, at_least=0, clock=clock.now())


def _show(reading: Reading) -> None:
    for offer in reading.offers:
        index = offer.index
        click.echo(f"{index.kind}  {index.name} {index.version}  {size(index.size)}  {index.licence}  {offer.digest}")
    if reading.broken_chain is not None:
        click.echo(say("cli.bundle.broken_chain", version=reading.broken_chain))


def _show_standing(repository: Repository) -> None:
    for each in repository.standing():
        state = say("cli.bundle.complete") if each.is_complete else say("cli.bundle.unsigned")
        click.echo(f"{each.role:<10} {each.version:>4}  {each.signed}/{each.threshold}  {state}")


def _shares(named: tuple[str, ...], thresholds: tuple[str, ...]) -> Mapping[str, Share]:
    files = list(_pairs(named, "key"))
    numbers = dict(_pairs(thresholds, "threshold"))
    strange = set(numbers) - {role for role, _ in files}
    if not files or strange or not all(number.isdecimal() for number in numbers.values()):
        raise BadInputError(field="threshold" if files else "key")
    found = {role: tuple(keys.public(Path(path)) for each, path in files if each == role) for role, _ in files}
    return {role: Share(held, int(numbers.get(role, len(held) // 2 + 1))) for role, held in found.items()}


def _demand_told(title_ja: str, title_en: str, source: str) -> None:
    """What people are told of documents: what they are, in both languages, and where they come from."""
    for field, said in (("title-ja", title_ja), ("title-en", title_en), ("source", source)):
        if not said.strip():
            raise BadInputError(field=field)


def _pairs(words: Iterable[str], field: str) -> Iterable[tuple[str, str]]:
    for word in words:
        role, equals, value = word.partition("=")
        if not equals or role not in ROLE_NAMES:
            raise BadInputError(field=field)
        yield role, value


def _passphrase(path: Path | None, *, new: bool, of: str = "passphrase") -> str:
    if path is None:
        return str(click.prompt(say(f"cli.bundle.{of}"), hide_input=True, confirmation_prompt=new))
    with suppress(OSError):  # reading it says why
        demand_private(path)
    return _read(path, 2000).decode("utf-8", "replace").rstrip("\n")


def _words(path: Path | None) -> str:
    return _read(path, 20_000).decode("utf-8", "replace") if path else ""


def _read(path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(most)
    except OSError as error:
        raise BundleInvalidError(f"{path.name}: {type(error).__name__}") from error
