"""A stick with one signed bundle for an emulated machine: one key for everything, which nobody keeps."""

from pathlib import Path
from typing import Final

from appliance import clock
from appliance.bundle.index import Index, Kind, Text
from appliance.bundle.publish import cutting
from appliance.bundle.publish.keys import Holder
from appliance.bundle.publish.repository import ROLE_NAMES, Repository, Share
from appliance.image import tools
from appliance.vault.signing import SigningKey

_BESIDE_KB: Final = 64 * 1024


def write(content: Path, kind: Kind, version: str, counter: int, folder: Path) -> tuple[bytes, Path]:
    """Sign what is in `content`; the root that a box has to trust, and the image of a FAT stick, both below `folder`.

    Raises:
        ImageStepError: a tool is missing or has failed.
        BundleInvalidError, DiskFullError: as `cutting.cut`.
    """
    repository = Repository(folder / "repository", clock.now())
    holder = Holder(SigningKey.new())
    repository.found({role: Share((holder.public_key,), 1) for role in ROLE_NAMES})
    files = cutting.cut(content, repository.folder / "parts", programs=False)
    said = Text(ja=version, en=version)
    index = Index(
        format=1, kind=kind, name=f"hako-{kind}", version=version, counter=counter, issued=int(clock.now()), title=said,
        licence="GPL-2.0-or-later", files=files,
    )  # fmt: skip
    repository.add(index)
    repository.sign(holder)
    cutting.write(repository, folder / "content")
    image = folder / "stick.img"
    size = str(index.size // 1024 + _BESIDE_KB)
    tools.run("stick", ["mkfs.vfat", "-F", "32", "-n", "HAKO", "-C", image, size])
    tools.run("stick", ["mcopy", "-s", "-i", image, *sorted((folder / "content").iterdir()), "::"])
    return (repository.metadata / "1.root.json").read_bytes(), image
