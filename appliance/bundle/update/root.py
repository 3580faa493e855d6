"""What the box asks of root about its releases, where root alone can write where they lie: through the helper."""

from pathlib import Path

from appliance.bundle.media import Place
from appliance.bundle.update.state import Release
from appliance.config import Settings
from appliance.errors import BundleSignatureError, OtherPublisherError, ReleaseMediumError
from appliance.machine.helper import Tell
from appliance.machine.helper_client import HelperClient
from appliance.machine.helper_shapes import LONGEST_ROOT, Install, Switch, SystemBack, TakeSystem, Trust


class Root:
    """Safe to share between threads. All but `installs` raise HelperUnreachableError and as `HelperClient.ask`."""

    def __init__(self, settings: Settings) -> None:
        self._media = settings.storage.media
        self._has_accounts = settings.accounts.are_separate
        self._helper = HelperClient(settings.helper_socket)

    @property
    def installs(self) -> bool:
        """Whether releases are root's here; else the box installs them by itself."""
        return self._has_accounts or self._helper.is_there

    def vouch(self, root: bytes) -> None:
        """Have the machine trust this publisher, if it trusts none yet. Nothing where the box does all by itself."""
        text = root.decode("utf-8", "replace")
        if self.installs and len(text) <= LONGEST_ROOT:
            self._helper.ask(Trust(verb="trust", root=text))

    def install(self, release: Release, place: Place, tell: Tell, *, stale: bool) -> None:
        """Have the release installed; root reads the medium itself, and believes nothing of what was found here.

        Raises:
            ReleaseMediumError: not where sticks appear.
            OtherPublisherError: the machine trusts another publisher.
            HakoError: as root's own look and installation, see `privileged.RootsReleases.install`.
        """
        media, below = self._on_media(place)
        wish = Install(verb="install", media=str(media), below=below, digest=release.digest, stale=stale)
        self._have(wish, release.publisher, tell)

    def take_system(self, digest: str, publisher: str, place: Place, tell: Tell, *, stale: bool) -> None:
        """Have the system with this digest brought to where the machine puts it into its other slot.

        Raises as `install`, and as `privileged.RootsReleases.take_system`.
        """
        media, below = self._on_media(place)
        wish = TakeSystem(verb="take-system", media=str(media), below=below, digest=digest, stale=stale)
        self._have(wish, publisher, tell)

    def system_back(self) -> None:
        """Have the machine started with its other system. Raises as `privileged.RootsReleases.back`."""
        self._helper.ask(SystemBack(verb="system-back"))

    def _have(self, wish: Install | TakeSystem, publisher: str, tell: Tell) -> None:
        try:
            self._helper.ask(wish, tell)
        except OtherPublisherError as error:
            if error.params["fingerprint"] == publisher:  # the medium was changed after our own look
                raise BundleSignatureError("not as it was seen before") from error
            raise

    def agree(self, digest: str) -> None:
        """Have root agree to a change to this release. Raises as `privileged.RootsReleases.agree`."""
        self._helper.ask(Switch(verb="switch", digest=digest))

    def _on_media(self, place: Place) -> tuple[Path, tuple[str, ...]]:
        """The folder below which sticks appear, and the way on from there. Raises ReleaseMediumError."""
        for media in self._media:
            if place.folder.is_relative_to(media):
                return media, (*place.folder.relative_to(media).parts, *place.below)
        raise ReleaseMediumError(str(place.folder))
