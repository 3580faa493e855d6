"""`make bench`: speed, memory and retrieval quality, each beside a peer measured in the same run."""

import argparse
import sys
import time

from appliance import config
from appliance.gateway.gateway import Gateway
from tests.bench import (
    bundles,
    embedding,
    footprint,
    gateway,
    ingestion,
    kv_slots,
    prefix,
    quoting,
    retrieval,
    streams,
)
from tests.bench.models import served_box


def run_retrieval() -> None:
    """With the box's own embedding model behind the box's own gateway."""
    with served_box() as box:
        retrieval.run(Gateway(config.load(data_dir=box.folder)))


BENCHES = {
    "footprint": footprint.run,
    "gateway": gateway.run,
    "streams": streams.run,
    "prefix": prefix.run,
    "quoting": quoting.run,
    "embedding": embedding.run,
    "ingestion": ingestion.run,
    "kv-slots": kv_slots.run,
    "retrieval": run_retrieval,
    "bundles": bundles.run,
}


def main() -> int:
    """Run the named benches, all of them without names."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("names", nargs="*", choices=[[], *BENCHES], default=[])
    parser.add_argument("--size", type=float, default=1.0, metavar="GB", help="of the bundle in `bundles`")
    wish = parser.parse_args()
    for name in wish.names or BENCHES:
        began = time.monotonic()
        print(f"\n== {name}", flush=True)
        if name == "bundles":
            bundles.run(wish.size)
        else:
            BENCHES[name]()
        print(f"   ({time.monotonic() - began:.0f} s)", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
