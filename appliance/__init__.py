"""Hako, an air-gapped AI appliance: everything but the web layer."""

__version__ = "0.1.0"
