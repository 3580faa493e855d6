"""Reads every byte that a bundle has on a medium and compares it with what was signed; writes nothing."""

from appliance.bundle.index import Index
from appliance.bundle.staging import Source, checked


def check(source: Source, index: Index) -> int:
    """How many bytes a thin bundle leaves out; 0 for a whole one.

    Raises:
        BundleDamagedError: a part is not what was signed.
        BundleUnreadableError: the medium can't be read.
    """
    missing = 0
    for part in sorted(index.parts, key=lambda part: part.sha256):
        pieces = checked(source, part)
        if pieces is None:
            missing += part.size
        else:
            for _piece in pieces:
                pass
    return missing
