"""Every error a user can meet: one tree, each with a stable code and an HTTP status.

The sentences live in `webui/locales/{ja,en}.json` under `error.<code>`; a test demands both. An error
carries parameters for the sentence and a `detail` for the log, never document text or a secret.
"""

from typing import ClassVar, TypeAlias

Param: TypeAlias = str | int | float


class HakoError(Exception):
    """The root. `params` may be shown to the user, `detail` is for the log only."""

    code: ClassVar[str] = "HK-BOX-001"
    status: ClassVar[int] = 500

    def __init__(self, detail: str = "", **params: Param) -> None:
        super().__init__(detail or self.code)
        self.detail = detail
        self.params: dict[str, Param] = params


def by_code(code: str, **params: Param) -> HakoError:
    """The error for a stored code, e.g. of a failed job; HK-BOX-001 for an unknown one."""
    pending = [HakoError]
    while pending:
        kind = pending.pop()
        if kind.code == code:
            return kind("", **params)
        pending.extend(kind.__subclasses__())
    return HakoError(code)


# -- the box itself


class ConfigError(HakoError):
    """The settings file says something the box can't follow. Params: `name`."""

    code, status = "HK-BOX-002", 500


class BadInputError(HakoError):
    """A request that doesn't have the expected shape. Params: `field`."""

    code, status = "HK-BOX-003", 400


class NotFoundError(HakoError):
    """Nothing there that this person may see; also for what exists but belongs to somebody else."""

    code, status = "HK-BOX-004", 404


class TooLargeError(HakoError):
    """Request body over the limit. Params: `limit_mb`."""

    code, status = "HK-BOX-005", 413


class DiskFullError(HakoError):
    """No room to store what was asked; nothing was written."""

    code, status = "HK-BOX-006", 507


class BusyError(HakoError):
    """All places are taken. Params: `retry_after_s`."""

    code, status = "HK-BOX-007", 503


class BoxNotRunningError(HakoError):
    """The command line found no running box."""

    code, status = "HK-BOX-008", 503


class ConflictError(HakoError):
    """Someone else changed it first, or the name is taken. Params: `name`."""

    code, status = "HK-BOX-009", 409


class PrivateFileError(HakoError):
    """A secret's file can be read by others. Params: `name`."""

    code, status = "HK-BOX-010", 500


class NotReadyError(HakoError):
    """A process ended or stayed silent while starting. Params: `name`."""

    code, status = "HK-BOX-011", 500


class WrongHostError(HakoError):
    """Addressed by a name that is not this box's (DNS rebinding)."""

    code, status = "HK-BOX-014", 421


class FrontEndMissingError(HakoError):
    """The built front end is not there; an installation without it is incomplete."""

    code, status = "HK-BOX-013", 500


class TooManyError(HakoError):
    """As many are kept as may be. Params: `limit`."""

    code, status = "HK-BOX-015", 409


# -- the audit log


class AuditExportError(HakoError):
    """A file that should be an export of an audit log is none, or is cut off. Params: `name`."""

    code, status = "HK-AUD-001", 422


class AuditBrokenError(HakoError):
    """The audit log is not what it was: something was changed, taken out or put back. Params: `count` of findings."""

    code, status = "HK-AUD-002", 500


# -- the encrypted database


class StoreDamagedError(HakoError):
    """A part of the database file does not verify: damaged or altered."""

    code, status = "HK-STO-001", 500


class NewerStoreError(HakoError):
    """The database was written by a newer release than this one."""

    code, status = "HK-STO-002", 500


class NotInitialisedError(HakoError):
    """There is no vault yet."""

    code, status = "HK-BOX-020", 500


class AlreadyRunningError(HakoError):
    """Another box uses this data folder. Params: `name`."""

    code, status = "HK-BOX-021", 409


class PortTakenError(HakoError):
    """Another program listens there. Params: `port`, `name` of its setting."""

    code, status = "HK-BOX-022", 409


# -- who is asking


class NotSignedInError(HakoError):
    """No session and no key, or an ended one."""

    code, status = "HK-AUTH-001", 401


class WrongPasswordError(HakoError):
    """Name and password don't belong together. Params: `tries_left`."""

    code, status = "HK-AUTH-002", 401


class ForbiddenError(HakoError):
    """Signed in, but without the permission."""

    code, status = "HK-AUTH-003", 403


class TooManyTriesError(HakoError):
    """Throttled. Params: `retry_after_s`."""

    code, status = "HK-AUTH-004", 429


class WeakPasswordError(HakoError):
    """Too short or too common. Params: `min_length`."""

    code, status = "HK-AUTH-005", 422


class CrossSiteError(HakoError):
    """A request that another site made in the user's name."""

    code, status = "HK-AUTH-006", 403


class SetupLinkError(HakoError):
    """The one-time set-up link was used already or is wrong."""

    code, status = "HK-AUTH-007", 403


class LastOperatorError(HakoError):
    """Without this account nobody could run the box any more."""

    code, status = "HK-AUTH-008", 409


class KeyScopeError(HakoError):
    """An API key was used for something that its scope doesn't hold."""

    code, status = "HK-AUTH-009", 403


class KeyRateError(HakoError):
    """An API key has sent as many requests as its scope allows for now. Params: `retry_after_s`."""

    code, status = "HK-AUTH-010", 429


# -- the vault


class SealedError(HakoError):
    """The vault is sealed: nothing can be read until it is unlocked."""

    code, status = "HK-VLT-001", 423


class WrongPassphraseError(HakoError):
    """Passphrase or recovery key opens no slot. Params: `tries_left`."""

    code, status = "HK-VLT-002", 401


class VaultDamagedError(HakoError):
    """The key file can't be read or does not fit the data. Params: `name`."""

    code, status = "HK-VLT-003", 500


class EnvelopeError(HakoError):
    """A stored file is truncated, altered or under another key."""

    code, status = "HK-VLT-004", 500


class KeysUnreachableError(HakoError):
    """The keys process doesn't answer."""

    code, status = "HK-VLT-005", 503


class RecoveryTypoError(HakoError):
    """A recovery key with a typing error. Params: `group`, counted from 1."""

    code, status = "HK-VLT-006", 422


# -- documents


class DocumentError(HakoError):
    """A document could not be taken in."""

    code, status = "HK-DOC-001", 422


class UnknownFormatError(DocumentError):
    """A type the box can't read. Params: `name`."""

    code, status = "HK-DOC-010", 415


class EmptyDocumentError(DocumentError):
    """No text in it."""

    code, status = "HK-DOC-011", 422


class DamagedDocumentError(DocumentError):
    """Corrupt, truncated, or not what its name says."""

    code, status = "HK-DOC-012", 422


class DocumentTooLargeError(DocumentError):
    """Over a limit of size, pages, time or memory. Params: `limit`."""

    code, status = "HK-DOC-013", 413


class LockedDocumentError(DocumentError):
    """Protected by a password."""

    code, status = "HK-DOC-014", 422


class BombDocumentError(DocumentError):
    """Unpacks to far more than it is; refused unread."""

    code, status = "HK-DOC-015", 422


class ReaderUnavailableError(DocumentError):
    """The sandboxed reader can't be started, or not be shut in; the document is not at fault."""

    code, status = "HK-DOC-016", 503


# -- models and inference


class ModelNotFoundError(HakoError):
    """No model or alias of that name. Params: `name`."""

    code, status = "HK-MOD-001", 404


class ModelDamagedError(HakoError):
    """The file does not match its digest or its header can't be read. Params: `name`."""

    code, status = "HK-MOD-002", 500


class ModelFailedError(HakoError):
    """The engine stopped while answering or could not start. Params: `name`."""

    code, status = "HK-MOD-003", 502


class ModelQuarantinedError(HakoError):
    """Crashed again and again, so it is no longer started. Params: `name`."""

    code, status = "HK-MOD-004", 503


class ContextTooLongError(HakoError):
    """More text than the model can hold. Params: `tokens`, `limit`."""

    code, status = "HK-MOD-005", 400


class InferenceUnreachableError(HakoError):
    """The inference process doesn't answer."""

    code, status = "HK-MOD-006", 503


class ModelTooLargeError(HakoError):
    """Not enough memory on this box. Params: `missing_gb`."""

    code, status = "HK-MOD-007", 507


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
    """A whole model file, but of a kind that the box can't run, e.g. one part of a split model. Params: `name`."""

    code, status = "HK-MOD-010", 422


class ModelInUseError(HakoError):
    """The default model, or one that is answering, can't be removed. Params: `name`."""

    code, status = "HK-MOD-011", 409


class ModelPathError(HakoError):
    """What should be imported is no ordinary file that the box may read; a link, a folder, a device. Params: `name`."""

    code, status = "HK-MOD-012", 422


class ModelLegacyError(HakoError):
    """A whole chat model, but not of the one kind that the engine for older models reads. Params: `name`."""

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


# -- machines outside of the box


class DestinationForbiddenError(HakoError):
    """An address that can't be a destination, whatever anybody says. Params: `address`."""

    code, status = "HK-NET-001", 422


class PrivateDestinationError(HakoError):
    """This machine or one of its own network, and nobody said that this is meant. Params: `address`."""

    code, status = "HK-NET-002", 422


class PublicDestinationError(HakoError):
    """An address of the internet, and nobody said that the gap should be opened. Params: `address`."""

    code, status = "HK-NET-003", 422


class DestinationUnreachableError(HakoError):
    """The destination doesn't answer, sends elsewhere or doesn't speak the API. Params: `name`."""

    code, status = "HK-NET-004", 502


class DestinationKeyError(HakoError):
    """The destination doesn't take the key that was stored for it. Params: `name`."""

    code, status = "HK-NET-005", 502


class DestinationIdentityError(HakoError):
    """Who answers can't show the certificate that was named; nothing was sent. Params: `name`."""

    code, status = "HK-NET-006", 502


class ElsewhereError(HakoError):
    """Something that only the machine can do that a model runs on. Params: `name`."""

    code, status = "HK-NET-007", 400


class DestinationsDamagedError(HakoError):
    """The list of destinations is there and can't be read; none is used, and none is added. Params: `name`."""

    code, status = "HK-NET-008", 500


class ChatTemplateError(HakoError):
    """No Jinja, or not a template that a chat can be put into. Params: `line`, counted from 1."""

    code, status = "HK-MOD-015", 422


class ModelTooCoarseError(HakoError):
    """Stored as coarsely as was asked for, or more so. Params: `name`, `quantization` (its own), `to` (the asked)."""

    code, status = "HK-MOD-016", 422


class AdapterError(HakoError):
    """A file that is no LoRA adapter, or one for another model. Params: `name`, `model`."""

    code, status = "HK-MOD-017", 422


class ModelChangedError(HakoError):
    """It doesn't answer the fixed questions as it did when that was recorded, so it is not served. Params: `name`."""

    code, status = "HK-MOD-018", 500


class ProjectorError(HakoError):
    """A whole file, but no projector that lets models see, or none that the engine knows. Params: `name`."""

    code, status = "HK-MOD-026", 422


class ProjectorWidthError(HakoError):
    """A projector for another model: its vectors are longer or shorter. Params: `name`, `model`."""

    code, status = "HK-MOD-027", 422


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


# -- exporting a model on the publisher's side


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


# -- bundles that come by stick


class BundleUnreadableError(HakoError):
    """A file of a bundle is missing or its medium can't be read."""

    code, status = "HK-BND-001", 422


class BundleSignatureError(HakoError):
    """Too few signatures of keys that count."""

    code, status = "HK-BND-002", 422


class BundleRollbackError(HakoError):
    """Older than what the box has seen."""

    code, status = "HK-BND-003", 409


class BundleStaleError(HakoError):
    """Valid, but past its date."""

    code, status = "HK-BND-004", 409


class BundleDamagedError(HakoError):
    """Not the bytes that were signed for."""

    code, status = "HK-BND-005", 422


class BundleInvalidError(HakoError):
    """Not a bundle of a form that this release understands."""

    code, status = "HK-BND-006", 422


class BundleWrongBoxError(HakoError):
    """The bundle asks for something that this box is not or doesn't have. Params: `need`."""

    code, status = "HK-BND-008", 409


class BundleIncompleteError(HakoError):
    """A thin bundle leaves out parts that this box doesn't have. Params: `base`."""

    code, status = "HK-BND-009", 409


class BundleKindError(HakoError):
    """A bundle of a kind that this release can't take. Params: `kind`."""

    code, status = "HK-BND-010", 409


class NoPublisherError(HakoError):
    """Nobody has said yet which publisher the box trusts."""

    code, status = "HK-BND-011", 409


class FingerprintError(HakoError):
    """A fingerprint that was given is another one than the root's."""

    code, status = "HK-BND-012", 409


class TrustDamagedError(HakoError):
    """The box's memory of its publisher can't be believed."""

    code, status = "HK-BND-007", 500


class UnhealthyError(HakoError):
    """The box is not well, so it isn't updated. Params: `what`, the code of what is wrong or one word."""

    code, status = "HK-UPD-001", 409


class NoReleaseError(HakoError):
    """There is no release to change to, or back to."""

    code, status = "HK-UPD-002", 409


class ReleaseFloorError(HakoError):
    """Below the security floor. Params: `version`, `counter`, `floor`."""

    code, status = "HK-UPD-003", 409


class ReleaseFailedError(HakoError):
    """A release couldn't be installed. Params: `step`."""

    code, status = "HK-UPD-004", 422


class UpdateTrialError(HakoError):
    """The box is between two releases."""

    code, status = "HK-UPD-005", 503


class IrreversibleError(HakoError):
    """There is no way back from this release, and nobody has agreed to that."""

    code, status = "HK-UPD-006", 409


# -- backups


class BackupFolderError(HakoError):
    """The folder of a backup isn't there, or can't be read or written. Params: `name`."""

    code, status = "HK-BAK-001", 422


class NoBackupError(HakoError):
    """The folder holds no backup of this box, or not the one that was named."""

    code, status = "HK-BAK-002", 404


class BackupDamagedError(HakoError):
    """Parts of a backup are missing or altered. Params: `count`."""

    code, status = "HK-BAK-003", 422


class BackupTargetError(HakoError):
    """The place to restore to isn't empty. Params: `name`."""

    code, status = "HK-BAK-004", 409


class BackupRoomError(HakoError):
    """No room on the medium of the backup."""

    code, status = "HK-BAK-005", 507


class OtherBoxError(HakoError):
    """The data folder to restore over belongs to another box than the backup. Params: `name`."""

    code, status = "HK-BAK-006", 409


class SeveralBoxesError(HakoError):
    """The folder holds backups of several boxes, and none was named. Params: `names`."""

    code, status = "HK-BAK-007", 409


class CancelledError(HakoError):
    """Stopped by the user."""

    code, status = "HK-RUN-001", 409


class InterruptedRunError(HakoError):
    """The box stopped while this answer was being written."""

    code, status = "HK-RUN-002", 503
