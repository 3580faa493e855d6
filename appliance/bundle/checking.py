"""Reads every byte that a bundle has on a medium and compares it with what was signed; writes nothing."""

import hashlib

from tuf.api.exceptions import DownloadError, DownloadHTTPError

from appliance.bundle.index import Index
from appliance.bundle.staging import Source, part_path
from appliance.errors import BundleDamagedError, BundleUnreadableError


def check(source: Source, index: Index) -> int:
    """How many bytes a thin bundle leaves out; 0 for a whole one.

    Raises:
        BundleDamagedError: a part is not what was signed.
        BundleUnreadableError: the medium can't be read.
    """
    missing = 0
    for part in sorted({part for file in index.files for part in file.parts}, key=lambda part: part.sha256):
        try:
            digest, came = hashlib.sha256(), 0
            for piece in source.read(part_path(part)):
                digest.update(piece)
                came += len(piece)
                if came > part.size:
                    break
        except DownloadHTTPError:
            missing += part.size
            continue
        except DownloadError as error:
            raise BundleUnreadableError(str(error)[:200]) from error
        if came != part.size or digest.hexdigest() != part.sha256:
            raise BundleDamagedError("part is another one")
    return missing
