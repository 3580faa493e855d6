"""Models, their files and the engines that run them."""

from appliance.errors.root import HakoError


class ModelNotFoundError(HakoError):
    """No model or alias of that name. Params: `name`."""

    code, status = "HK-MOD-001", 404


class ModelDamagedError(HakoError):
    """The file does not match its digest or its header can't be read. Params: `name`."""

    code, status = "HK-MOD-002", 500


class ModelFailedError(HakoError):
    """The engine stopped while loading or while answering, or could not start. Params: `name`."""

    code, status = "HK-MOD-003", 502


class ModelQuarantinedError(HakoError):
    """Crashed again and again, so it is no longer started. Params: `name`."""

    code, status = "HK-MOD-004", 503


class ContextTooLongError(HakoError):
    """More text than the model can hold. Params: `tokens`, `limit`."""

    code, status = "HK-MOD-005", 400


class ChatTooLongError(ContextTooLongError):
    """A chat that has grown too long for a model that may not lose its beginning. Params: `tokens`, `limit`."""

    code = "HK-MOD-052"


class InferenceUnreachableError(HakoError):
    """The inference process doesn't answer."""

    code, status = "HK-MOD-006", 503


class ModelTooLargeError(HakoError):
    """Not enough memory on this box. Params: `missing_gb`."""

    code, status = "HK-MOD-007", 507


class ModelOverLimitError(ModelTooLargeError):
    """Cache and scratch beyond what one model may take beside its weights. Params: `over_gb`, `limit_gb`."""

    code, status = "HK-MOD-043", 507


class ModelNoMemoryError(ModelTooLargeError):
    """The engine asked for memory while it loaded the model, and got none. Params: `name`."""

    code, status = "HK-MOD-068", 507


class WrongModelKindError(HakoError):
    """A chat was asked of an embedding model or the other way round. Params: `name`."""

    code, status = "HK-MOD-008", 400


class ModelsByUsbError(HakoError):
    """A client asked to fetch, make, send or delete a model, which only an operator does, by USB."""

    code, status = "HK-MOD-020", 403


class ModelFileError(HakoError):
    """A file that should be imported is damaged, cut off, or no model file at all. Params: `name`."""

    code, status = "HK-MOD-009", 422


class ModelFormatError(ModelFileError):
    """A file of a known format that is none of a model's here, e.g. a pickle. Params: `name`, `format`."""

    code, status = "HK-MOD-021", 422


class ModelOldFormatError(ModelFormatError):
    """A model in one of the forms that were there before GGUF. Params: `name`, `format`."""

    code, status = "HK-MOD-056", 422


class ModelFolderError(HakoError):
    """A folder that should be imported lacks a file that an ONNX model can't do without. Params: `name`, `file`."""

    code, status = "HK-MOD-022", 422


class ModelVocabularyError(HakoError):
    """A whole vocabulary, but of a kind that the engine for ONNX doesn't read. Params: `name`."""

    code, status = "HK-MOD-023", 422


class ModelRoleError(HakoError):
    """A whole ONNX model that neither embeds nor reranks in a way the engine knows. Params: `name`."""

    code, status = "HK-MOD-024", 422


class ModelKindUnclearError(HakoError):
    """An ONNX model of which only a person can say whether it embeds or reranks. Params: `name`."""

    code, status = "HK-MOD-025", 422


class ModelUnsupportedError(HakoError):
    """A whole model file, but of a kind that the box can't run, e.g. one for searching. Params: `name`."""

    code, status = "HK-MOD-010", 422


class ModelSplitError(ModelUnsupportedError):
    """One of the parts that a model was split into. Params: `name`, `parts`, how many there are."""

    code, status = "HK-MOD-049", 422


class ModelInUseError(HakoError):
    """The default model, or one that is answering, can't be removed. Params: `name`."""

    code, status = "HK-MOD-011", 409


class DefaultFixedError(HakoError):
    """An embedding model can't be made the default: what is stored was made by the one of now. Params: `name`."""

    code, status = "HK-MOD-044", 409


class DefaultNeededError(HakoError):
    """The box can't do without a default of this model's kind. Params: `name`."""

    code, status = "HK-MOD-045", 409


class ModelPathError(HakoError):
    """What should be imported is no ordinary file that the box may read; a link, a folder, a device. Params: `name`."""

    code, status = "HK-MOD-012", 422


class ModelLegacyError(HakoError):
    """A whole chat model, but not of the one kind that the engine for older models reads.

    Params: `name`, `reason` as in `legacy.Obstacle`, `found` (what the file has instead; may be empty).
    """

    code, status = "HK-MOD-013", 422


class EngineMissingError(HakoError):
    """The engine for older models is an extra of the installation, and not there. Params: `name`."""

    code, status = "HK-MOD-014", 503


class ModelGenaiError(HakoError):
    """A whole folder for onnxruntime-genai, but not of the plain kind that the box runs. Params: `name`."""

    code, status = "HK-MOD-033", 422


class GenaiMissingError(EngineMissingError):
    """The engine for chat models on ONNX is an extra of the installation, and not there. Params: `name`."""

    code, status = "HK-MOD-034", 503


class ChatTemplateError(HakoError):
    """No Jinja, or not a template that a chat can be put into. Params: `line`, counted from 1."""

    code, status = "HK-MOD-015", 422


class LoadCancelledError(HakoError):
    """Somebody ended the loading of the model before it was done. Params: `name`."""

    code, status = "HK-MOD-046", 503


class CacheTypeError(HakoError):
    """The model's heads can't be rounded so, or its engine can't. Params: `name`, `cache` (the type that was set)."""

    code, status = "HK-MOD-053", 422


class ModelTooCoarseError(HakoError):
    """Stored as coarsely as was asked for, or more so. Params: `name`, `quantization` (its own), `to` (the asked)."""

    code, status = "HK-MOD-016", 422


class AdapterError(HakoError):
    """A file that is no LoRA adapter, or one for another model. Params: `name`, `model`."""

    code, status = "HK-MOD-017", 422


class ModelChangedError(HakoError):
    """It doesn't answer the fixed questions as it did when that was recorded, so it is not served. Params: `name`."""

    code, status = "HK-MOD-018", 500


class ModelSenselessError(HakoError):
    """It was never seen to work: what it answers no sound model would, so it is not served. Params: `name`."""

    code, status = "HK-MOD-057", 500


class ProjectorError(HakoError):
    """A whole file, but no projector that lets models see, or none that the engine knows. Params: `name`."""

    code, status = "HK-MOD-026", 422


class NoThinkingError(HakoError):
    """A model that has no thoughts should think before it answers. Params: `name`."""

    code, status = "HK-MOD-041", 400


class ProjectorThereError(HakoError):
    """The model has a projector already. Params: `name`, the model's."""

    code, status = "HK-MOD-040", 409


class ProjectorWidthError(HakoError):
    """A projector for another model: its vectors are longer or shorter. Params: `name`, `model`."""

    code, status = "HK-MOD-027", 422


class NoGpuError(HakoError):
    """It must run on a GPU, by the settings, and CUDA doesn't start here. Params: `name`."""

    code, status = "HK-MOD-055", 503


class NoSoundError(HakoError):
    """Speech was sent or asked for, and no model of this box knows sound."""

    code, status = "HK-MOD-061", 404


class NotOfferedError(HakoError):
    """An address of a dialect that the box speaks, for something that the box hasn't got."""

    code, status = "HK-MOD-062", 404


class TokenNumbersError(HakoError):
    """Texts to embed came as numbers of tokens, by a vocabulary that isn't this model's. Params: `field`."""

    code, status = "HK-MOD-063", 400


class DocumentBlockError(HakoError):
    """A file came as a document within a message, e.g. a PDF; only text can be. Params: `field`."""

    code, status = "HK-MOD-064", 400
