"""Brings the models that the image carries to the disk of models, once; they are checked on the way."""

import os
import sys
from pathlib import Path
from typing import Final

from appliance import modes
from appliance.bundle import provision

BUILT: Final = Path("/usr/share/hako/models")
MODELS: Final = Path("/var/lib/hako/models")


def main() -> int:
    """At each start; what is there already costs a look at sizes."""
    modes.share()
    os.umask(modes.umask())
    for name in provision.install(BUILT, MODELS):
        sys.stdout.write(f"{name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
