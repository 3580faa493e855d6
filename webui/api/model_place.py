"""Where a file is that becomes a model or is brought to one: an upload, one on a stick, or at the terminal any path."""

import contextlib
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from appliance.errors import ForbiddenError, HakoError
from appliance.inference.source import Source, opened
from webui import shapes
from webui.api.model_uploads import owner_of
from webui.routing import Call

Handle = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]


class BroughtFile(shapes.Shape):
    """Which file; a dry run only says what it is."""

    path: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    """Of this machine; on the admin socket only."""
    upload: Handle | None = None
    """One of one's own uploads."""
    media: Handle | None = None
    """One of `/models/media`."""
    dry_run: bool = False

    @model_validator(mode="after")
    def _one_place(self) -> "BroughtFile":
        if [self.path, self.upload, self.media].count(None) != 2:
            raise ValueError("exactly one of path, upload, media")
        return self

    def opened(self, call: Call) -> tuple[Source, str]:
        """The open file, and its path where its bytes can be shared: an upload's are on the box's disk already."""
        models = call.services.models
        if self.path is not None:
            if call.who.via != "socket":
                raise ForbiddenError("a path of this machine is for who works on it")
            return opened(self.path), ""
        if self.upload is not None:
            upload = models.uploads.get(owner_of(call), self.upload)
            return models.uploads.opened(upload), str(models.uploads.file(upload))
        return models.media.opened(self.media or ""), ""

    def forget(self, call: Call) -> None:
        """Once it is brought, an upload is of no more use."""
        if self.upload is not None:
            with contextlib.suppress(HakoError):  # dropped meanwhile; the model has its bytes
                call.services.models.uploads.drop(owner_of(call), self.upload)
