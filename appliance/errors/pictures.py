"""Pictures in a message."""

from appliance.errors.root import HakoError


class NoVisionError(HakoError):
    """Pictures for a model that can't see. Params: `name`."""

    code, status = "HK-MOD-028", 400


class PictureError(HakoError):
    """No picture of a kind that is taken, or a damaged one. Params: `field`."""

    code, status = "HK-MOD-029", 400


class PictureTooLargeError(HakoError):
    """A picture, or all of a request, over the limits. Params: `field`, `limit_mb`, `limit_mp` (megapixels)."""

    code, status = "HK-MOD-030", 413


class PictureAddressError(HakoError):
    """A picture to be fetched from somewhere, which the box never does. Params: `field`."""

    code, status = "HK-MOD-031", 400


class TooManyPicturesError(HakoError):
    """More pictures than one request may have. Params: `field`, `limit`."""

    code, status = "HK-MOD-032", 400
