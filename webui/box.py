"""What the web process holds: the settings, the way to the keys process, and the services once unsealed."""

import os
import threading
from collections.abc import Callable

from prometheus_client import Counter

from appliance.bundle.update import state as releases
from appliance.clock import monotonic, now
from appliance.config import Settings
from appliance.errors import BadInputError, HakoError, SealedError
from appliance.machine.gap import GapWatch
from appliance.machine.own import OwnMachine
from appliance.services import Services
from appliance.vault.client import KeysClient
from appliance.vault.tries import Doors
from webui.sse import Places
from webui.tickets import Tickets

_SECRET_CHARS = 1024
_STORE_WITHIN_S = 1.5
_TRIAL_LOOK_S = 0.5
_READERS_OF_A_PERSON = 6
"""As many connections as a browser opens to one place."""

Build = Callable[[Settings, KeysClient], Services]


class Box:
    """Sealed until the keys process hands out keys; then the services are built once, without a restart."""

    def __init__(self, settings: Settings, keys: KeysClient, build: Build, root_pid: int | None = None) -> None:
        """`root_pid`: the process that all of the box descends from; this one unless told."""
        self.settings = settings
        self.keys = keys
        self.gap = GapWatch(os.getpid() if root_pid is None else root_pid)
        self.places = Places(settings.web.max_streams)
        """For answers and streams."""
        spare = settings.web.threads - settings.web.max_streams
        self.readers = Places(max(1, spare * 3 // 4), per_person=_READERS_OF_A_PERSON)
        """For uploads and other large bodies; what is left of the threads is for requests that take no time."""
        self.tickets = Tickets()
        self.machine = OwnMachine(settings.data_dir, settings.helper_socket, settings.web.tls_certificate)
        self.first: dict[str, str] = {}
        """The way into set-up while there is no vault; see `setup_link`."""
        self.setup_doors = Doors()
        """Tries at the set-up code."""
        self.answered = Counter("hako_requests", "Answered requests.", ("dialect", "status"), registry=None)
        """Since this process began, on all its listeners."""
        self._build = build
        self.began_at = now()
        """When this process began, in seconds since the epoch."""
        self.stopping = threading.Event()
        """Set once the process is to end: streams end with it."""
        self._services: Services | None = None
        self._building = threading.Lock()
        self._sealed_until = 0.0
        self._releases = releases.Places(settings.releases, settings.data_dir)
        self._trial = self._releases.read().is_trial
        self._trial_until = 0.0

    @property
    def is_trial(self) -> bool:
        """Whether this release is still on trial. One that has begun as the box's own stays that."""
        if self._trial and monotonic() >= self._trial_until:
            self._trial = self._releases.read().is_trial
            self._trial_until = monotonic() + _TRIAL_LOOK_S
        return self._trial

    @property
    def is_open(self) -> bool:
        """Whether the services exist already; asks nobody."""
        return self._services is not None

    def services(self) -> Services:
        """The services; builds them when the vault has been unlocked since the last look.

        Raises:
            SealedError: the vault is sealed or there is none yet.
            KeysUnreachableError: the keys process doesn't answer.
        """
        if self._services is not None:
            return self._services
        with self._building:
            if self._services is None:
                if monotonic() < self._sealed_until:
                    raise SealedError
                status = self.keys.status()
                if status.sealed or not status.exists:
                    self._sealed_until = monotonic() + 0.2
                    raise SealedError
                self._services = self._build(self.settings, self.keys)
            return self._services

    def lacks_vault(self) -> bool:
        """Whether the box is at its very first start. In development a vault makes itself."""
        if self.is_open or self.settings.development:
            return False
        try:
            return not self.keys.status().exists
        except HakoError:
            return False

    def make_vault(self, passphrase: str) -> None:
        """The first one, open from here on.

        Raises:
            ConflictError: there is one already.
            WeakPasswordError: shorter than 8 characters.
        """
        if len(passphrase) > _SECRET_CHARS:
            raise BadInputError(field="passphrase")
        self.keys.create(passphrase)
        self._sealed_until = 0.0
        self.services()

    def unlock(self, passphrase: str, recovery_key: str, asker: str) -> None:
        """Open the vault with one of the two and build the services; nothing is tried when it is open already.

        `asker`: see `connection.asker`.

        Else strangers could guess at the passphrase of a box that runs, and use up its operator's tries.

        Raises:
            BadInputError: nothing given, or far too much.
            WrongPassphraseError: it opens nothing.
        """
        for field, secret in (("passphrase", passphrase), ("recovery_key", recovery_key)):
            if len(secret) > _SECRET_CHARS:
                raise BadInputError(field=field)
        if self.is_open:
            return
        if recovery_key.strip():
            self.keys.recover(recovery_key, asker)
        elif passphrase:
            self.keys.unlock(passphrase, asker)
        else:
            raise BadInputError(field="passphrase")
        self._sealed_until = 0.0
        self.services()

    def stop(self) -> None:
        """The process is about to end: end every stream, and store what is being written. Requests still work."""
        services = self._services
        if services is not None:
            services.runs.close(_STORE_WITHIN_S)  # first: their readers see how they ended
            services.audit.end()
        self.stopping.set()

    def close(self) -> None:
        """Let go of the services, as on stopping."""
        with self._building:
            services, self._services = self._services, None
        if services is not None:
            services.close()
