"""The vault: whether it is open, and whether somebody has written the recovery key down."""

from appliance.errors import KeysUnreachableError
from appliance.health.box.parts import Plain
from appliance.health.check import Group
from appliance.health.finding import Finding, Fix, Look


class KeysCheck:
    """Asks the keys process."""

    name = "keys"
    group: Group = "trust"
    every_s = 60.0

    def look(self, plain: Plain) -> Look:
        try:
            status = plain.vault()
        except KeysUnreachableError:
            return Look("keys", note="silent", is_known=False)
        if not status.exists:
            return Look("keys", note="no_vault", is_known=False)
        found = []
        if status.sealed:
            found.append(Finding("keys", "sealed", "warning", "HK-HLT-051", fix=Fix("go", "/unlock")))
        if not status.recovery_confirmed:
            found.append(Finding("keys", "unconfirmed", "warning", "HK-HLT-050", fix=Fix("go", "/setup")))
        return Look(
            "keys",
            "confirmed" if status.recovery_confirmed else "unconfirmed",
            "sealed" if status.sealed else "open",
            {},
            found,
        )
