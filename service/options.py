"""What a request can ask for beside its images, read from form fields and the query string."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, TypeVar, cast, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic.json_schema import SkipJsonSchema

from model.decision import Decision
from model.episode import Fusion
from model.images.masks import MASK_FORMATS, MaskFormat
from service.errors import InvalidOptionError

Output = Literal["mask", "probability", "overlay", "cutout", "json"]
PNG, JSON = "image/png", "application/json"
FormatName = Literal[
    "masks", "overlays", "cutouts", "coco", "yolo", "voc", "label_studio",
    "label_studio_polygons", "csv", "jsonl",
]  # fmt: skip
"""What many masks may be written as."""
FORMATS: tuple[FormatName, ...] = get_args(FormatName)
OUTPUT: Literal["output"] = "output"
"""Stands among the formats of a batch for a file of each query as ``output`` says."""


@dataclass(frozen=True)
class Expected:
    """The values that an option takes, as the end of "threshold is '2'; send ..."."""

    values: str


# "on" is what a checkbox of an HTML form sends.
_FLAGS = {"true": True, "1": True, "on": True, "false": False, "0": False, "off": False}


def _flag(text: object) -> object:
    return _FLAGS.get(str(text).lower(), text)


def _number(text: object) -> object:
    return int(text) if isinstance(text, str) and text in ("8", "16") else text


FusionOption = Annotated[
    Fusion,
    Field(description="average of the supports' prototypes, or union of their masks."),
    Expected("average or union"),
]
# Characters of the label of an object or class.
LABEL_LENGTH = 200
AUTO: Literal["auto"] = "auto"
Threshold = Annotated[
    Annotated[float, Field(gt=0, lt=1)] | Literal["auto"],
    Field(
        description=(
            "A pixel is object where its probability is above this; auto is the network's own, "
            "see `/info`."
        )
    ),
    Expected("a number above 0 and below 1, or auto"),
]
PresenceThreshold = Annotated[
    Annotated[float, Field(ge=0, le=1)] | Literal["auto"],
    Field(
        description=(
            "Nothing is marked where the object's presence is below this; 0 always marks, auto is "
            "the network's own, see `/info`."
        )
    ),
    Expected("a number from 0 to 1, or auto"),
]
Flag = Annotated[bool, Strict(), BeforeValidator(_flag), Expected("true or false")]
Instances = Annotated[
    Flag,
    Field(
        description=(
            "An annotation for each connected part (pixels touch at corners) instead of one for "
            "the whole mask."
        )
    ),
]


def _listed(names: tuple[str, ...]) -> str:
    """A pattern of some of the names, parted by commas."""
    one = f"({'|'.join(names)})"
    return f"^{one}(,{one})*$"


def _some_of(names: tuple[str, ...]) -> Expected:
    return Expected(f"{', '.join(names[:-1])} or {names[-1]}, or several parted by commas")


class MaskOptions(BaseModel):
    """How sent masks are read; every endpoint that takes masks takes it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mask_format: Annotated[
        MaskFormat,
        Field(
            description=(
                "What is object in the support masks. light: what is brighter than half. on_white: "
                "what is not white. labels: every value but 0, 255 being void. alpha: what is more "
                "than half opaque. visible: what is not wholly transparent. auto: as the file's "
                "structure says; a file that allows two readings is refused."
            )
        ),
        Expected(f"{', '.join(MASK_FORMATS[:-1])} or {MASK_FORMATS[-1]}"),
    ] = "auto"


class Shaping(MaskOptions):
    """How a probability becomes a mask; every endpoint that returns masks takes these."""

    threshold: Threshold = AUTO
    presence_threshold: PresenceThreshold = AUTO
    refine: Annotated[
        Flag,
        Field(
            description=(
                "Let borders follow the photograph's edges; false leaves them as the network drew "
                "them."
            )
        ),
    ] = True
    largest_component: Annotated[
        Flag, Field(description="Keep only the largest connected part (pixels touch at corners).")
    ] = False
    min_area: Annotated[
        int,
        Field(ge=0, description="Drop connected parts of fewer pixels."),
        Expected("a whole number of pixels, 0 or more"),
    ] = 0
    fill_holes: Annotated[
        Flag, Field(description="Fill background that the object encloses; done last.")
    ] = False

    def decide(self, own: Decision) -> Decision:
        """What makes the mask: the network's ``own`` thresholds where the request has none."""
        given = {
            "object_threshold": self.threshold,
            "presence_threshold": self.presence_threshold,
        }
        return replace(own, **{name: value for name, value in given.items() if value != AUTO})


class Options(Shaping):
    """The options of ``POST /segment``."""

    output: Annotated[
        Output,
        Field(
            description=(
                "mask: 8-bit grey PNG, 255 on the object. probability: grey PNG before the "
                "threshold, white is 1. overlay: the query with the object tinted and outlined. "
                "cutout: the query, transparent around the object. json: mask as COCO run lengths "
                "and polygons. Without it the Accept header chooses json or mask."
            )
        ),
        Expected("mask, probability, overlay, cutout or json"),
    ] = "mask"
    depth: Annotated[
        Literal[8, 16],
        BeforeValidator(_number),
        Field(description="Bits of a pixel; 16 only with output=probability."),
        Expected("8 or 16, and 16 only with output=probability"),
    ] = 8
    label: Annotated[
        str | SkipJsonSchema[None],
        Field(
            max_length=LABEL_LENGTH, description="Comes back in JSON as it is.", examples=["cat"]
        ),
        Expected("at most 200 characters"),
    ] = None

    instances: Instances = False

    @field_validator("depth")
    @classmethod
    def _more_depth_is_of_a_probability(cls, depth: int, others: ValidationInfo) -> int:
        if depth != 8 and others.data.get("output") != "probability":
            raise ValueError("every other picture has 8 bits")
        return depth


class KShotOptions(Options):
    """The options of ``POST /segment/kshot``."""

    fusion: FusionOption = "average"


class BatchOptions(KShotOptions):
    """The options of ``POST /segment/batch``."""

    format: Annotated[
        str,
        Field(
            pattern=_listed((OUTPUT, *FORMATS)),
            description=(
                "What the archive holds, names parted by commas. output: a file for each query as "
                "`output` says. masks, overlays, cutouts: PNGs. coco: annotations.json. yolo: "
                "Ultralytics' labels and data.yaml. voc: indexed PNGs and ImageSets. label_studio, "
                "label_studio_polygons: tasks to import. csv, jsonl: a summary."
            ),
        ),
        _some_of((OUTPUT, *FORMATS)),
    ] = OUTPUT


class AnnotationOptions(MaskOptions):
    """The options of ``POST /annotations``."""

    format: Annotated[
        str,
        Field(
            pattern=_listed(FORMATS),
            description="What is written, names parted by commas, as for many queries.",
        ),
        _some_of(FORMATS),
    ] = "coco"
    instances: Instances = False


def named_formats(text: str) -> tuple[FormatName, ...]:
    """What the option ``format`` names, each once; without ``output``, which is none of them."""
    names = dict.fromkeys(text.split(","))
    return tuple(cast(FormatName, name) for name in names if name != OUTPUT)


class CompletionOptions(Options):
    """The options of ``POST /segment/complete``, where the object is known to be there."""

    presence_threshold: PresenceThreshold = 0.0


class MulticlassOptions(Shaping):
    """The options of ``POST /segment/multiclass``."""

    output: Annotated[
        Literal["mask", "overlay", "json"],
        Field(
            description=(
                "mask: indexed PNG, 0 is background and n the n-th class. overlay: the query with "
                "each class tinted in its colour. json: each class's mask as COCO run lengths and "
                "polygons. Without it the Accept header chooses json or mask."
            )
        ),
        Expected("mask, overlay or json"),
    ] = "mask"
    fusion: FusionOption = "average"
    instances: Instances = False

    def decide(self, own: Decision) -> Decision:
        """As for one object; but pixels have a threshold for several classes."""
        decision = super().decide(own)
        if self.threshold != AUTO:
            return decision
        return replace(decision, object_threshold=decision.class_threshold)


AnyOptions = TypeVar("AnyOptions", bound=MaskOptions)


def read_options(kind: type[AnyOptions], given: Mapping[str, str]) -> AnyOptions:
    """Options as texts -> ``kind``; InvalidOptionError for the first that is not as expected."""
    texts: dict[str, Any] = dict(given)
    try:
        return kind(**texts)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise InvalidOptionError(
            f"{name} is {texts[name][:80]!r}; send {_expected(kind, name)}", field=name
        ) from None


def _expected(kind: type[MaskOptions], name: str) -> str:
    metadata = kind.model_fields[name].metadata
    return next(item.values for item in metadata if isinstance(item, Expected))
