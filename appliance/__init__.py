"""Hako, an air-gapped AI appliance: everything but the web layer."""

import os

__version__ = "0.1.0"

COUNTER = 1
"""Counts the releases, whatever their versions are called; raised with the version."""

RELEASED = 1_793_491_200
"""When this release was made, 2026-11-01, in seconds since the epoch; raised with the version. It can't be earlier."""

# onnxruntime and onnxruntime-genai call home, and keep a number for this machine in its home folder, from the moment
# they are loaded: before anything of Hako's can load them, this says no.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
