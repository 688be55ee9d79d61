"""The error tree of the service; every message is a sentence that says the fix.

ServiceError                      with an HTTP status, a stable ``code`` and a ``title``
├── RequestError             422  what a request asks for: its parts and options
├── TransferError            400  how its bytes arrive, before anything is read from them
├── ImageError               422  the content of one part
├── OriginError              403  where the request comes from
├── AccessError              403  who asks for it
├── NotFoundError            404  what it names
├── ConflictError            409  what is stored, which does not allow it
├── QueueFullError           429
├── UnavailableError         503  the service cannot answer now
├── StorageFullError         507
├── DeadlineExceededError    504
├── ClientGoneError          499
└── InternalError            500

Below, each branch is followed by its errors. An error's code follows from its name, and
docs/reference/errors.md lists them all for users.
"""

import re

from model import errors as model_errors


class SettingsError(model_errors.ModelError):
    """A setting is unknown or impossible. It ends the start with a sentence and exit code 1."""


class ServiceError(Exception):
    """A reply other than success. ``field`` names the part at fault, such as support_mask[1]."""

    status = 500
    code = ""
    title = ""

    def __init__(
        self, message: str, *, field: str | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.field = field
        self.headers = headers or {}

    def __init_subclass__(cls, *, status: int = 0, title: str = "", code: str = "") -> None:
        """A class with a title is a reply. Its name gives its code: NotAFileError, not_a_file."""
        if status:
            cls.status = status
        if title:
            words = re.findall("[A-Z][a-z]*", cls.__name__.removesuffix("Error"))
            cls.title, cls.code = title, code or "_".join(words).lower()


class RequestError(ServiceError, status=422):
    """The parts and options of a request."""


class MissingPartError(RequestError, title="A part is missing"):
    """A part that the endpoint needs is not in the form."""


class DuplicatePartError(RequestError, title="A part is sent more than once"):
    """A part that may come once is in the form more than once."""


class UnexpectedPartError(RequestError, title="A part is not known here"):
    """A part that the endpoint does not know is in the form."""


class NotAFileError(RequestError, title="A part is of the wrong kind"):
    """A text field where a file is due, or a file where text is due."""


class InvalidOptionError(RequestError, title="An option has an unknown value"):
    """An option with a value that it cannot take."""


class SupportCountMismatchError(RequestError, title="Support images and masks do not pair up"):
    """The numbers of support images and support masks differ."""


class MaskAndMarkError(RequestError, title="A mask and a mark are sent for one photograph"):
    """A mask and a rough mark, where one stands in the other's place."""


class TooManyShotsError(RequestError, title="Too many supports"):
    """More supports than the service is set to take (``max_shots``)."""


class TooManyClassesError(RequestError, title="Too many classes"):
    """More classes than the service is set to look for in one query (``max_classes``)."""


class TooManyQueriesError(RequestError, title="Too many queries"):
    """More queries in one batch than the service is set to take (``max_queries``)."""


class DuplicateNameError(RequestError, title="Two files have one name"):
    """Two files of a request whose results would have one name."""


class UnpairedImageError(RequestError, title="Photographs and masks do not pair up"):
    """A photograph to which no mask belongs, or a mask whose photograph is missing."""


class TooManyPartsError(RequestError, title="Too many parts"):
    """More form parts than any request of this service can need."""


class InvalidRequestError(RequestError, title="The request does not fit its description"):
    """A parameter of a request that does not fit its description."""


class InvalidArchiveError(RequestError, title="The archive is no exported support set"):
    """An archive that is broken, or that holds other than what an export does."""


class NotAcceptableError(RequestError, status=406, title="No acceptable type is on offer"):
    """An Accept header that names no type in which the endpoint can answer."""


class UnsupportedMediaTypeError(RequestError, status=415, title="The type is not accepted"):
    """A body that is no multipart form, or a part of a type that is not accepted."""


class TransferError(ServiceError, status=400):
    """The bytes of a request, and the time that they take."""


class MalformedBodyError(TransferError, title="The body is not a readable form"):
    """A body that is not the multipart form that its header promises."""


class MalformedRequestError(TransferError, title="The request is not readable HTTP"):
    """Bytes that are no HTTP/1.1 request, or one whose body breaks its own framing."""


class HeadTooLargeError(TransferError, status=431, title="The headers are too large"):
    """A request line, headers or trailers beyond any sensible length."""


class HeadTooSlowError(TransferError, status=408, title="The headers are too slow"):
    """A connection on which no whole request head arrives."""


class PayloadTooLargeError(TransferError, status=413, title="The request has too many bytes"):
    """More bytes than the service is set to take (``max_upload_bytes``, ``max_batch_bytes``)."""


class UploadTooSlowError(TransferError, status=408, title="The request arrives too slowly"):
    """A body that stopped arriving, or that arrives too slowly on the whole."""


class ImageError(ServiceError, status=422):
    """The content of one image or mask."""


class UndecodableImageError(ImageError, title="An image cannot be decoded"):
    """An image or mask that is empty, truncated or broken."""


class InvalidImageError(ImageError, title="An image cannot be used"):
    """An image or mask that decodes, but that the network cannot use."""


class BlankMaskError(ImageError, title="A support mask is empty", code="empty_mask"):
    """A support mask without a single object pixel."""


class UnclearMaskError(
    ImageError, title="A support mask can be read in two ways", code="ambiguous_mask"
):
    """A mask file that can be read in two ways; ``mask_format`` says which is meant."""


class MaskSizeMismatchError(ImageError, title="A support mask has another size than its image"):
    """A support mask of another size than its image."""


class InvalidMarkError(ImageError, title="A rough mark cannot be read"):
    """A rough mark that is no JSON, not as described, or of more than is drawn."""


class MarkOutsideError(ImageError, title="A rough mark lies outside its photograph"):
    """A rough mark with a coordinate outside the upright photograph."""


class TooManyPixelsError(ImageError, status=413, title="An image has too many pixels"):
    """An image of more pixels than the service is set to take (``max_image_pixels``)."""


class OriginError(ServiceError, status=403):
    """Where the request comes from."""


class ForeignHostError(OriginError, status=421, title="The service has another name"):
    """A Host header with a name that the service does not have: DNS rebinding, or a new name."""


class CrossSiteError(OriginError, title="A page of another site may not do this"):
    """A web page of another origin that would write or compute here."""


class AccessError(ServiceError, status=403):
    """Who asks for what is the operator's."""


class AdminKeyUnsetError(AccessError, title="There is no admin key"):
    """A request for the operator, to a service that was given no key to know him by."""


class WrongAdminKeyError(AccessError, status=401, title="The admin key is wrong"):
    """A request for the operator without his key."""


class NotFoundError(ServiceError, status=404, title="The path does not exist"):
    """A path that does not exist."""


class SupportSetNotFoundError(NotFoundError, title="The support set does not exist"):
    """A support set that was never stored, or is deleted."""


class ModelNotFoundError(NotFoundError, title="The model does not exist"):
    """A ``model`` that the service was not given."""


class PairNotFoundError(NotFoundError, title="The pair does not exist"):
    """A pair that the support set never had, or that is deleted."""


class MethodNotAllowedError(
    NotFoundError, status=405, title="The path does not answer this method"
):
    """A path that exists, asked with a method that it does not answer."""


class ConflictError(ServiceError, status=409):
    """A request that what is stored does not allow."""


class NameTakenError(ConflictError, title="The name is taken"):
    """A name that another support set has."""


class PairChangedError(ConflictError, title="The pair was replaced meanwhile"):
    """A pair whose other half is no longer what the request was checked against."""


class LastPairError(ConflictError, title="The last pair cannot be deleted"):
    """The only pair of a support set, which cannot be without."""


class ModelNotReloadedError(ConflictError, title="The model is not reloaded"):
    """A file that is not fit to take the place of the model that serves, which goes on serving."""


class QueueFullError(ServiceError, status=429, title="The queue is full"):
    """As many requests as the service is set to hold (``max_queue``) are waiting."""


class UnavailableError(ServiceError, status=503):
    """The service cannot answer now."""


class NotReadyError(UnavailableError, title="The service is not ready"):
    """The checkpoint is not loaded and warm, or the inference thread has crashed."""


class ModelNotLoadedError(UnavailableError, title="The model cannot be loaded"):
    """A model whose file is broken or away; it is tried again a little later."""


class ShuttingDownError(UnavailableError, title="The service is shutting down"):
    """The service finishes what it has accepted and takes nothing new."""


class OutOfMemoryError(UnavailableError, title="There is no memory for the request"):
    """A request that does not fit into the memory of the device, even alone."""

    def __init__(self) -> None:
        super().__init__("there is no memory for this request; send smaller or fewer images")


class TooManyConnectionsError(UnavailableError, title="There are too many connections"):
    """All connections, or one address's share of them, are open."""


class BodiesFullError(UnavailableError, title="There is no room for the body now"):
    """The bodies of all requests together have taken the memory or disk that they may take."""


class StorageBusyError(UnavailableError, title="The storage is busy"):
    """The database of stored supports is locked by another program, or away."""


class StorageDamagedError(UnavailableError, title="Stored supports are damaged"):
    """Pages of the database's file that hold nonsense."""


class StorageFullError(ServiceError, status=507, title="The storage is full"):
    """The disk or database of stored supports has no room left."""


class DeadlineExceededError(ServiceError, status=504, title="The time for the request is over"):
    """There was no result within the client's limit, or the service's (``request_timeout_ms``)."""


class ClientGoneError(ServiceError, status=499, title="The client has gone"):
    """The client closed the connection before its reply; seen in logs and metrics only."""

    def __init__(self, message: str = "the client closed the connection before its reply") -> None:
        super().__init__(message)


class ReplyUnreadError(ClientGoneError, title="The client does not read its reply"):
    """A client that reads nothing of its reply; it is cut off."""


class InternalError(ServiceError, code="internal_error", title="Internal error"):
    """A fault of the service; the log has it under the reply's request id."""
