"""The error tree of the model package; every message is a sentence that says the fix.

ModelError
├── InputError            the caller's image, mask or option (``code`` is stable, for machines)
│   ├── EmptyMaskError
│   ├── MaskSizeError
│   ├── ImageShapeError
│   ├── MaskFormatError
│   ├── AmbiguousMaskError  its message begins with the verb, as those of files do
│   └── ImageFileError    a file; its message begins with the verb, for a caller that names the file
│       ├── NotAnImageError
│       ├── BrokenImageError
│       └── ImageTooLargeError
├── CheckpointError       a checkpoint that is missing, truncated, foreign or tampered with
├── DatasetError          a file or folder of a data set
├── ConfigError           a training configuration
├── DivergenceError       a training whose numbers are no longer finite
└── DeviceError           a device or precision that this machine has not
"""


class ModelError(Exception):
    """Anything a user of this package can mend."""


class InputError(ModelError):
    """An image, mask or option that cannot be used as it is."""

    code = "invalid_input"


class EmptyMaskError(InputError):
    """A support mask without a single object pixel."""

    code = "empty_mask"


class MaskSizeError(InputError):
    """A support mask of another size than its image."""

    code = "mask_size_mismatch"


class ImageShapeError(InputError):
    """An array that is not an (H, W, 3) uint8 photograph or an (H, W) bool mask."""

    code = "invalid_image"


class MaskFormatError(InputError):
    """A mask that cannot be read in the way that was asked for."""

    code = "unsuitable_mask_format"


class AmbiguousMaskError(InputError):
    """A mask file that allows two readings; ``formats`` are their names."""

    code = "ambiguous_mask"

    def __init__(self, message: str, formats: tuple[str, str]) -> None:
        super().__init__(message)
        self.formats = formats


class ImageFileError(InputError):
    """A file that gives no photograph or mask; the message begins with the verb."""


class NotAnImageError(ImageFileError):
    """Bytes of no kind that is accepted."""


class BrokenImageError(ImageFileError):
    """An image that is empty, truncated, broken or of a kind that cannot be decoded right."""


class ImageTooLargeError(ImageFileError):
    """An image of more pixels than the caller allows."""


class CheckpointError(ModelError):
    """A checkpoint that is missing, truncated, foreign or tampered with."""


class DatasetError(ModelError):
    """A missing, broken or inconsistent file of a data set."""


class ConfigError(ModelError):
    """A training configuration with an unknown key or an impossible value."""


class DivergenceError(ModelError):
    """A training whose loss, gradient or weights are no longer finite."""


class DeviceError(ModelError):
    """A device or precision that this machine does not have."""
