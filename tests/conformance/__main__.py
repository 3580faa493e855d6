"""`make conformance`: the suites of others, and every address of our own, against served boxes."""

import argparse
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack

from tests.conformance import ollama_examples, our_api, suites
from tests.conformance.box import Target, served

PARTS: dict[str, tuple[bool, Callable[[Target], bool]]] = {
    "openai": (False, suites.openai),
    "anthropic": (False, suites.anthropic),
    "our-api": (False, our_api.run),
    "langchain": (True, suites.langchain),
    "ollama": (True, ollama_examples.run),
}
"""Each with whether it needs real models; what is about the protocol is told from scripted ones, much faster."""


def main() -> int:
    """Run the named parts, all of them without names; each gets a box of its own."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance")
    parser.add_argument("names", nargs="*", choices=[[], *PARTS], default=[])
    failed = []
    for name in parser.parse_args().names or PARTS:
        starter, run = PARTS[name]
        began = time.monotonic()
        print(f"\n== {name}", flush=True)
        with ExitStack() as stack:
            if not run(stack.enter_context(served(starter=starter))):
                failed.append(name)
        print(f"   ({time.monotonic() - began:.0f} s)", flush=True)
    print(f"\nNot as expected: {', '.join(failed)}" if failed else "\nAll as expected.")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
