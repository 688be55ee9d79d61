"""The error tree of the service; every message is a sentence that says the fix.

ServiceError                      with an HTTP status, a stable ``code`` and a ``title``
├── RequestError                  422  the request's parts and options
│   ├── MissingPartError               missing_part
│   ├── DuplicatePartError             duplicate_part
│   ├── UnexpectedPartError            unexpected_part
│   ├── NotAFileError                  not_a_file
│   ├── InvalidOptionError             invalid_option
│   ├── SupportCountMismatchError      support_count_mismatch
│   ├── TooManyShotsError              too_many_shots
│   ├── TooManyClassesError            too_many_classes
│   ├── TooManyQueriesError            too_many_queries
│   ├── TooManyPartsError              too_many_parts
│   ├── InvalidRequestError            invalid_request
│   ├── MalformedBodyError        400  malformed_body
│   ├── NotAcceptableError        406  not_acceptable
│   ├── UnsupportedMediaTypeError 415  unsupported_media_type
│   ├── MalformedRequestError     400  malformed_request
│   ├── HeadTooLargeError         431  head_too_large
│   ├── HeadTooSlowError          408  head_too_slow
│   ├── PayloadTooLargeError      413  payload_too_large
│   └── UploadTooSlowError        408  upload_too_slow
├── ImageError                    422  the content of one part
│   ├── UndecodableImageError          undecodable_image
│   ├── InvalidImageError              invalid_image
│   ├── EmptyMaskError                 empty_mask
│   ├── MaskSizeMismatchError          mask_size_mismatch
│   └── TooManyPixelsError        413  too_many_pixels
├── OriginError                   403  where the request comes from
│   ├── ForeignHostError          421  foreign_host
│   └── CrossSiteError                 cross_site
├── NotFoundError                 404  not_found
│   ├── SupportSetNotFoundError        support_set_not_found
│   ├── PairNotFoundError              pair_not_found
│   └── MethodNotAllowedError     405  method_not_allowed
├── ConflictError                 409
│   ├── NameTakenError                 name_taken
│   └── LastPairError                  last_pair
├── QueueFullError                429  queue_full
├── UnavailableError              503
│   ├── NotReadyError                  not_ready
│   ├── ShuttingDownError              shutting_down
│   ├── OutOfMemoryError               out_of_memory
│   ├── TooManyConnectionsError        too_many_connections
│   ├── BodiesFullError                bodies_full
│   ├── StorageBusyError               storage_busy
│   └── StorageDamagedError            storage_damaged
├── StorageFullError              507  storage_full
├── DeadlineExceededError         504  deadline_exceeded
├── ClientGoneError               499  client_gone
│   └── ReplyUnreadError               reply_unread
└── InternalError                 500  internal_error

SettingsError is no reply: it is a ModelError, one sentence and exit code 1 at start-up.
"""

from collections.abc import Iterator

from model import errors as model_errors


class SettingsError(model_errors.ModelError):
    """A setting that is unknown or impossible; raised before the service starts."""


class ServiceError(Exception):
    """A reply other than success. ``field`` names the part at fault, arrays indexed."""

    status = 500
    code = ""
    title = ""

    def __init__(
        self, message: str, *, field: str | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.field = field
        self.headers = headers or {}


class RequestError(ServiceError):
    """The parts and options of a request."""

    status = 422


class MissingPartError(RequestError):
    """A part that the endpoint needs is not in the form."""

    code = "missing_part"
    title = "A part is missing"


class DuplicatePartError(RequestError):
    """A part that may come once is in the form more than once."""

    code = "duplicate_part"
    title = "A part is sent more than once"


class UnexpectedPartError(RequestError):
    """A part that the endpoint does not know is in the form."""

    code = "unexpected_part"
    title = "A part is not known here"


class NotAFileError(RequestError):
    """A text field where a file is due, or a file where text is due."""

    code = "not_a_file"
    title = "A part is of the wrong kind"


class InvalidOptionError(RequestError):
    """An option with a value that it cannot take."""

    code = "invalid_option"
    title = "An option has an unknown value"


class SupportCountMismatchError(RequestError):
    """The numbers of support images and support masks differ."""

    code = "support_count_mismatch"
    title = "Support images and masks do not pair up"


class TooManyShotsError(RequestError):
    """More supports than the service is set to take (``max_shots``)."""

    code = "too_many_shots"
    title = "Too many supports"


class TooManyClassesError(RequestError):
    """More classes than the service is set to look for in one query (``max_classes``)."""

    code = "too_many_classes"
    title = "Too many classes"


class TooManyQueriesError(RequestError):
    """More queries in one batch than the service is set to take (``max_queries``)."""

    code = "too_many_queries"
    title = "Too many queries"


class TooManyPartsError(RequestError):
    """More form parts than any request of this service can need."""

    code = "too_many_parts"
    title = "Too many parts"


class InvalidRequestError(RequestError):
    """A parameter of a request that does not fit its description."""

    code = "invalid_request"
    title = "The request does not fit its description"


class MalformedBodyError(RequestError):
    """A body that is not the multipart form that its header promises."""

    status = 400
    code = "malformed_body"
    title = "The body is not a readable form"


class MalformedRequestError(RequestError):
    """Bytes that are no HTTP/1.1 request, or one whose body breaks its own framing."""

    status = 400
    code = "malformed_request"
    title = "The request is not readable HTTP"


class HeadTooLargeError(RequestError):
    """A request line, headers or trailers beyond any sensible length."""

    status = 431
    code = "head_too_large"
    title = "The headers are too large"


class HeadTooSlowError(RequestError):
    """A connection on which no whole request head arrives."""

    status = 408
    code = "head_too_slow"
    title = "The headers are too slow"


class NotAcceptableError(RequestError):
    """An Accept header that names no type in which the endpoint can answer."""

    status = 406
    code = "not_acceptable"
    title = "No acceptable type is on offer"


class UnsupportedMediaTypeError(RequestError):
    """A body that is no multipart form, or a part of a type that is not accepted."""

    status = 415
    code = "unsupported_media_type"
    title = "The type is not accepted"


class PayloadTooLargeError(RequestError):
    """More bytes than the service is set to take (``max_upload_bytes``, ``max_batch_bytes``)."""

    status = 413
    code = "payload_too_large"
    title = "The request has too many bytes"


class UploadTooSlowError(RequestError):
    """A body that stopped arriving, or that arrives too slowly on the whole."""

    status = 408
    code = "upload_too_slow"
    title = "The request arrives too slowly"


class ImageError(ServiceError):
    """The content of one image or mask."""

    status = 422


class UndecodableImageError(ImageError):
    """An image or mask that is empty, truncated or broken."""

    code = "undecodable_image"
    title = "An image cannot be decoded"


class InvalidImageError(ImageError):
    """An image or mask that decodes, but that the network cannot use."""

    code = "invalid_image"
    title = "An image cannot be used"


class EmptyMaskError(ImageError):
    """A support mask without a single object pixel."""

    code = "empty_mask"
    title = "A support mask is empty"


class MaskSizeMismatchError(ImageError):
    """A support mask of another size than its image."""

    code = "mask_size_mismatch"
    title = "A support mask has another size than its image"


class TooManyPixelsError(ImageError):
    """An image of more pixels than the service is set to take (``max_image_pixels``)."""

    status = 413
    code = "too_many_pixels"
    title = "An image has too many pixels"


class OriginError(ServiceError):
    """Where the request comes from."""

    status = 403


class ForeignHostError(OriginError):
    """A Host header with a name that the service does not have: DNS rebinding, or a new name."""

    status = 421
    code = "foreign_host"
    title = "The service has another name"


class CrossSiteError(OriginError):
    """A web page of another origin that would write or compute here."""

    code = "cross_site"
    title = "A page of another site may not do this"


class NotFoundError(ServiceError):
    """A path that does not exist."""

    status = 404
    code = "not_found"
    title = "The path does not exist"


class SupportSetNotFoundError(NotFoundError):
    """A support set that was never stored, or is deleted."""

    code = "support_set_not_found"
    title = "The support set does not exist"


class PairNotFoundError(NotFoundError):
    """A pair that the support set never had, or that is deleted."""

    code = "pair_not_found"
    title = "The pair does not exist"


class MethodNotAllowedError(NotFoundError):
    """A path that exists, asked with a method that it does not answer."""

    status = 405
    code = "method_not_allowed"
    title = "The path does not answer this method"


class ConflictError(ServiceError):
    """A request that what is stored does not allow."""

    status = 409


class NameTakenError(ConflictError):
    """A name that another support set has."""

    code = "name_taken"
    title = "The name is taken"


class LastPairError(ConflictError):
    """The only pair of a support set, which cannot be without."""

    code = "last_pair"
    title = "The last pair cannot be deleted"


class QueueFullError(ServiceError):
    """As many requests as the service is set to hold (``max_queue``) are waiting."""

    status = 429
    code = "queue_full"
    title = "The queue is full"


class UnavailableError(ServiceError):
    """The service cannot answer now."""

    status = 503


class NotReadyError(UnavailableError):
    """The checkpoint is not loaded and warm, or the inference thread has crashed."""

    code = "not_ready"
    title = "The service is not ready"


class ShuttingDownError(UnavailableError):
    """The service finishes what it has accepted and takes nothing new."""

    code = "shutting_down"
    title = "The service is shutting down"


class OutOfMemoryError(UnavailableError):
    """A request that does not fit into the memory of the device, even alone."""

    code = "out_of_memory"
    title = "There is no memory for the request"


class TooManyConnectionsError(UnavailableError):
    """All connections, or one address's share of them, are open."""

    code = "too_many_connections"
    title = "There are too many connections"


class BodiesFullError(UnavailableError):
    """The bodies of all requests together have taken the memory or disk that they may take."""

    code = "bodies_full"
    title = "There is no room for the body now"


class StorageBusyError(UnavailableError):
    """The database of stored supports is locked by another program, or away."""

    code = "storage_busy"
    title = "The storage is busy"


class StorageDamagedError(UnavailableError):
    """Pages of the database's file that hold nonsense."""

    code = "storage_damaged"
    title = "Stored supports are damaged"


class StorageFullError(ServiceError):
    """The disk or database of stored supports has no room left."""

    status = 507
    code = "storage_full"
    title = "The storage is full"


class DeadlineExceededError(ServiceError):
    """There was no result within the client's limit, or the service's (``request_timeout_ms``)."""

    status = 504
    code = "deadline_exceeded"
    title = "The time for the request is over"


class ClientGoneError(ServiceError):
    """The client closed the connection before its reply; seen in logs and metrics only."""

    status = 499
    code = "client_gone"
    title = "The client has gone"


class ReplyUnreadError(ClientGoneError):
    """A client that reads nothing of its reply; it is cut off."""

    code = "reply_unread"
    title = "The client does not read its reply"


class InternalError(ServiceError):
    """A fault of the service; the log has it under the reply's request id."""

    code = "internal_error"
    title = "Internal error"


def catalogue(root: type[ServiceError] = ServiceError) -> Iterator[type[ServiceError]]:
    """Every error that a reply can carry, in the order of the tree."""
    for error in root.__subclasses__():
        if error.code:
            yield error
        yield from catalogue(error)


def unusable(error: model_errors.InputError, field: str) -> ImageError:
    """The model's complaint about an image or mask, as the reply about the part that sent it."""
    kinds: dict[type[model_errors.InputError], type[ImageError]] = {
        model_errors.EmptyMaskError: EmptyMaskError,
        model_errors.MaskSizeError: MaskSizeMismatchError,
    }
    return kinds.get(type(error), InvalidImageError)(str(error), field=field)
