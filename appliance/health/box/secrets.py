"""What would let others in on this very machine: the data folder open to them, a passphrase beside what it opens."""

from appliance.health.box.parts import Plain
from appliance.health.check import Group
from appliance.health.finding import Finding, Look


class SecretsCheck:
    """Modes and names of files only."""

    name = "secrets"
    group: Group = "trust"
    every_s = 300.0

    def look(self, plain: Plain) -> Look:
        settings = plain.settings
        try:
            mode = settings.data_dir.stat().st_mode
        except OSError:
            return Look("secrets", note="no_data", is_known=False)
        found = []
        if mode & (0o007 if settings.accounts.are_separate else 0o077):
            found.append(Finding("secrets", "readable", "error", "HK-HLT-056"))
        if settings.passphrase_file.exists():
            found.append(Finding("secrets", "passphrase_file", "warning", "HK-HLT-055"))
        return Look("secrets", "found" if found else "none", "", {}, found)
