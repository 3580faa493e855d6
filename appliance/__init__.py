"""Hako, an air-gapped AI appliance: everything but the web layer."""

__version__ = "0.1.0"

RELEASED = 1_793_491_200
"""When this release was made, 2026-11-01, in seconds since the epoch; raised with the version. It can't be earlier."""
