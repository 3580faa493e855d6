"""Exporting a model on the publisher's side."""

from appliance.errors.root import HakoError


class ExportFolderError(HakoError):
    """A Hugging Face folder lacks a file, or it is no ordinary one. Params: `name`, `file`."""

    code, status = "HK-MOD-035", 422


class ExportDamagedError(HakoError):
    """A file of it is damaged, cut off or contradicts the others. Params: `name`."""

    code, status = "HK-MOD-036", 422


class ExportUnsupportedError(HakoError):
    """A whole model, but not of a kind that can be exported. Params: `name`."""

    code, status = "HK-MOD-037", 422


class ExportUnlikeError(HakoError):
    """What was exported computes something else than the original. Params: `name`, `cosine`."""

    code, status = "HK-MOD-038", 422


class ExporterMissingError(HakoError):
    """This installation has no package that writes ONNX."""

    code, status = "HK-MOD-039", 501
