"""What set-up asks once there is an operator: network and name, time, certificate, and what the box can carry."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo, available_timezones

from flask import request

from appliance.accounts.users import User
from appliance.clock import now
from appliance.errors import BadInputError
from appliance.gateway.figures import Figures, capacity
from appliance.services import Services
from appliance.storage import settings_store
from webui import connection, shapes
from webui.api.machine import NameWish, network_of
from webui.box import Box

STEP: Final = "setup_step"
"""Where set-up stands; nothing is stored once it has ended."""
_FIELD_CHARS: Final = 200
_CLOSE_S: Final = 90.0
"""A clock that differs by less was not touched."""
_TOOK_NO_ZONE: Final = ("Etc/UTC", "UTC", "")

Context = dict[str, Any]


class Later:
    """The steps of one box. Each can be passed over, and gone back to."""

    def __init__(self, box: Box) -> None:
        self._box = box
        self._acts: dict[str, Callable[[Services, User], Context | None]] = {
            "network": self._network,
            "time": self._time,
            "certificate": lambda _services, _operator: None,
            "capacity": self._capacity,
        }
        self._shows: dict[str, Callable[[Services, str], Context]] = {
            "network": self._show_network,
            "time": self._show_time,
            "certificate": lambda _services, _language: {"authority": self._box.machine.authority() is not None},
            "capacity": lambda services, _language: {"model": services.gateway.defaults.chat},
        }

    def steps(self) -> list[str]:
        """Those that this box can do: what the machine can't is left out."""
        machine = ["network", "time"] if self._box.machine.is_ours else []
        tls = ["certificate"] if self._box.settings.web.tls_certificate else []
        return [*machine, *tls, "capacity"]

    def at(self, services: Services) -> str:
        """Where set-up stands; empty when it has ended."""
        step = settings_store.get(services.database, STEP)
        return step if isinstance(step, str) and step in self.steps() else ""

    def begin(self, services: Services) -> str:
        """The first of them."""
        return self._stand(services, self.steps()[0])

    def shown(self, services: Services, step: str, language: str) -> Context:
        """What the page of a step needs. Raises HakoError: the machine doesn't say."""
        return self._shows[step](services, language)

    def submit(self, services: Services, operator: User, step: str) -> tuple[str, Context]:
        """The step to show next, empty at the end, and what else its page needs.

        Raises:
            HakoError: it did not work; the step stays.
        """
        steps = self.steps()
        here = steps.index(step)
        act = request.form.get("act", "")
        if act == "back":
            return self._stand(services, steps[max(0, here - 1)]), {}
        more = None if act == "skip" else self._acts[step](services, operator)
        if more is not None:
            return step, more
        if here + 1 == len(steps):
            settings_store.delete(services.database, STEP)
            return "", {}
        return self._stand(services, steps[here + 1]), {}

    def _stand(self, services: Services, step: str) -> str:
        settings_store.put(services.database, STEP, step)
        return step

    # -- network and name

    def _show_network(self, _services: Services, _language: str) -> Context:
        seen = self._box.machine.look()
        return {"machine": seen, "trial": seen.trial}

    def _network(self, services: Services, operator: User) -> Context | None:
        """Stays on its page while something is on trial."""
        machine, act = self._box.machine, request.form.get("act", "")
        if act == "drop":
            machine.drop_network()
            services.audit.record(operator.id, "network-taken-back")
            return {}
        if act == "keep":
            machine.keep_network(connection.arrived(request.environ))
            services.audit.record(operator.id, "network-kept")
            return None
        seen = machine.look()
        if seen.trial is not None:
            return {}
        name = _field("name")
        if name and name != seen.name:
            machine.rename(shapes.read_values({"name": name}, NameWish).name)
            services.audit.record(operator.id, "machine-renamed", host=name)
        card = next((card for card in seen.cards if card.name == _field("interface")), None)
        if card is None:
            return None
        is_dhcp = _field("way") != "static"
        address = None if is_dhcp else _field("address")
        if is_dhcp == card.dhcp and (is_dhcp or address in card.addresses):
            return None
        fixed = {"address": address, "gateway": _field("gateway") or None, "dns": tuple(_field("dns").split())}
        wish = network_of({"interface": card.name, "dhcp": is_dhcp, **({} if is_dhcp else fixed)})
        told = str(wish.address) if wish.address else "DHCP"
        services.audit.record(operator.id, "network-tried", card=card.name, address=told)
        _, word = machine.try_network(wish, operator.id)
        return {"word": word}

    # -- time

    def _show_time(self, _services: Services, language: str) -> Context:
        seen = self._box.machine.look()
        zone = "Asia/Tokyo" if language == "ja" and seen.zone in _TOOK_NO_ZONE else seen.zone or "UTC"
        zones = sorted(each for each in available_timezones() if "/" in each or each == "UTC")
        return {"zone": zone, "zones": zones, "clock": _local(zone)}

    def _time(self, services: Services, operator: User) -> None:
        machine, zone = self._box.machine, _field("zone")
        if zone not in available_timezones():
            raise BadInputError("no such zone", field="zone")
        if zone != machine.look().zone:
            machine.set_zone(zone)
            services.audit.record(operator.id, "time-zone-set", zone=zone)
        typed, shown = _field("clock"), _field("shown")
        if typed and typed != shown:
            try:
                at = int(datetime.fromisoformat(typed).replace(tzinfo=ZoneInfo(zone)).timestamp())
            except (ValueError, OverflowError):
                raise BadInputError("no time", field="clock") from None
            if abs(at - now()) > _CLOSE_S:
                services.audit.record(operator.id, "clock-set", at=typed)
                machine.set_clock(at)

    # -- what it can carry

    def _capacity(self, services: Services, operator: User) -> Context | None:
        """Measured as the page of capacity does it: by asking the model as people do."""
        if request.form.get("act") != "measure":
            return None
        model = services.gateway.defaults.chat
        with self._box.places.take(operator.id):
            steps = services.benchmark.measure(model, connection.watcher(request.environ))
            figures = next(step for step in steps if isinstance(step, Figures))
        services.audit.record(operator.id, "model-measured", model)
        return {"measured": capacity(figures)}


def _field(name: str) -> str:
    return request.form.get(name, "").strip()[:_FIELD_CHARS]


def _local(zone: str) -> str:
    """The clock as a field of a form takes it, to the minute."""
    try:
        return datetime.fromtimestamp(now(), ZoneInfo(zone)).strftime("%Y-%m-%dT%H:%M")
    except (OSError, ValueError, KeyError):
        return ""
