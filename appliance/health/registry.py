"""Every check there is, in the order of the page."""

from collections.abc import Sequence
from typing import Final

from appliance.config import Settings
from appliance.health.box.audit_log import AuditCheck
from appliance.health.box.backup import BackupCheck
from appliance.health.box.database import DatabaseCheck
from appliance.health.box.digests import DigestsCheck
from appliance.health.box.egress import EgressCheck
from appliance.health.box.engines import EnginesCheck
from appliance.health.box.index import IndexCheck
from appliance.health.box.keys import KeysCheck
from appliance.health.box.models import ModelsCheck
from appliance.health.box.parts import OpenCheck, PlainCheck
from appliance.health.box.provider import ProviderCheck
from appliance.health.box.queue import QueueCheck
from appliance.health.box.secrets import SecretsCheck
from appliance.health.box.update import UpdateCheck
from appliance.health.box.watch import WatchCheck
from appliance.health.check import MachineCheck
from appliance.health.checks.boot import BootCheck
from appliance.health.checks.certificate import CertificateCheck
from appliance.health.checks.clock import ClockCheck
from appliance.health.checks.cpu import CpuCheck
from appliance.health.checks.disk import DiskCheck
from appliance.health.checks.ecc import EccCheck
from appliance.health.checks.entropy import EntropyCheck
from appliance.health.checks.filesystem import FilesystemCheck
from appliance.health.checks.gpu import GpuCheck
from appliance.health.checks.inodes import InodesCheck
from appliance.health.checks.memory import MemoryCheck
from appliance.health.checks.ports import PortsCheck
from appliance.health.checks.sandbox import SandboxCheck
from appliance.health.checks.secureboot import SecureBootCheck
from appliance.health.checks.smart import SmartCheck
from appliance.health.checks.swap import SwapCheck
from appliance.health.checks.temperature import TemperatureCheck
from appliance.health.checks.throttling import ThrottlingCheck
from appliance.health.checks.tpm import TpmCheck
from appliance.health.checks.units import UnitsCheck
from appliance.health.checks.ups import UpsCheck
from appliance.health.checks.usb import UsbCheck
from appliance.health.elsewhere import Elsewhere

HOSTS: Final = frozenset({"smart", "ups", "units", "boot", "usb", "secureboot", "tpm"})
"""Checks of what a container doesn't have. What it can see of it is the host's, whose people look after it."""


def machine(settings: Settings) -> tuple[MachineCheck, ...]:
    """New checks, which remember nothing yet: made once in the life of a process."""
    checks: tuple[MachineCheck, ...] = (
        DiskCheck(settings.data_dir), InodesCheck(settings.data_dir), FilesystemCheck(settings.data_dir), SmartCheck(),
        MemoryCheck(), SwapCheck(), EccCheck(), CpuCheck(), TemperatureCheck(), ThrottlingCheck(), GpuCheck(),
        UpsCheck(), UnitsCheck(), BootCheck(), ClockCheck(), CertificateCheck(settings.web.tls_certificate),
        PortsCheck(settings), UsbCheck(), SecureBootCheck(), TpmCheck(), EntropyCheck(),
    )  # fmt: skip
    if settings.container:
        return (*(Elsewhere(each) if each.name in HOSTS else each for each in checks), SandboxCheck())
    return checks


BOX: Final[Sequence[OpenCheck]] = (
    BackupCheck(),
    ModelsCheck(),
    ProviderCheck(),
    DatabaseCheck(),
    IndexCheck(),
    QueueCheck(),
    UpdateCheck(),
    AuditCheck(),
    DigestsCheck(),
    WatchCheck(),
)
PLAIN: Final[Sequence[PlainCheck]] = (EnginesCheck(), EgressCheck(), KeysCheck(), SecretsCheck())


def order(settings: Settings) -> list[str]:
    """The names of all, machine first."""
    return [*(each.name for each in machine(settings)), *(each.name for each in BOX), *(each.name for each in PLAIN)]
