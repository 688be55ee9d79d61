"""What each endpoint takes: the one declaration of every form."""

from dataclasses import replace

from service.http.deadline import TIMEOUT
from service.http.layout import FilePart, FormLayout, Parameter, TextPart
from service.images.marks import Mark
from service.library.tables import TEXT_LENGTH
from service.options import (
    JSON,
    LABEL_LENGTH,
    AnnotationOptions,
    BatchOptions,
    CompletionOptions,
    KShotOptions,
    MaskOptions,
    MulticlassOptions,
    Options,
)

_SHOTS, _SHOTS_OF_ALL_CLASSES = ("max_shots",), ("max_shots", "max_classes")
_PHOTOGRAPH = "Photograph; EXIF orientation is applied, and what is transparent is white."
SUPPORT_IMAGE = FilePart("support_image", _PHOTOGRAPH, room=_SHOTS)
SUPPORT_MASK = FilePart(
    "support_mask",
    "Mask of the size of its image. The file's structure decides what is object: light on dark, "
    "colour on black or white, class numbers, or what is opaque; a mask that can be read in two "
    "ways is refused (`ambiguous_mask`).",
    room=_SHOTS,
)
SUPPORT_MARK = FilePart(
    "support_mark",
    "Rough mark in place of support_mask: JSON in pixels of the upright photograph, of any of a "
    "bbox, points, strokes, polygons and run lengths; as a file or as text.",
    required=False,
    media_types=JSON,
    model=Mark,
    in_place_of=SUPPORT_MASK.name,
)
MASK = FilePart("mask", "Mask file, read as support_mask is.")
IMAGE = FilePart(
    "image",
    "Photograph of the mask of the same name, suffixes aside. Only overlays and cutouts need it.",
    required=False,
    many=True,
    room=("max_queries",),
)
SUPPORT_LABEL = TextPart(
    "support_label",
    "Class of the support at the same place; equal labels are one.",
    example="cat",
    max_length=LABEL_LENGTH,
    many=True,
    room=_SHOTS_OF_ALL_CLASSES,
)
QUERY_IMAGE = FilePart("query_image", _PHOTOGRAPH)
NAME = TextPart(
    "name", "No other set may have it.", example="mug", max_length=TEXT_LENGTH, required=True
)
LABEL = TextPart("label", "Name of the object's class.", example="cup", max_length=TEXT_LENGTH)
CLASS_LABEL = TextPart(
    "class_label",
    "With it masks are indexed or grey: 0 is background, and n the n-th label's class.",
    example="cat",
    max_length=LABEL_LENGTH,
    many=True,
    room=("max_classes",),
)
SUPPORT_SET = Parameter(
    "support_set",
    "Id of a stored support set, in place of support_image and support_mask.",
    example="0bf203dd52524adf98b0f9502b877fc2",
    in_place_of=(SUPPORT_IMAGE.name, SUPPORT_MASK.name, SUPPORT_MARK.name),
)
SUPPORT_SETS = replace(
    SUPPORT_SET,
    description="Ids of stored support sets, each a class by its label, else its name; "
    "in place of supports, or beside them.",
    many=True,
    beside=True,
)
MODEL = Parameter(
    "model", "Name of a model that `GET /models` lists; the default when left out.", "sgone-vgg16"
)
_PAIR = (SUPPORT_IMAGE, SUPPORT_MASK, SUPPORT_MARK)
_PAIRS = _IMAGES, _MASKS, _MARKS = tuple(replace(part, many=True) for part in _PAIR)

# Forms ask for three files first: most people have a mask, and need no mark.
ONE_SHOT = FormLayout(
    (*_PAIR[:2], QUERY_IMAGE, SUPPORT_MARK), Options, (SUPPORT_SET, MODEL), (TIMEOUT,)
)
K_SHOT = FormLayout(
    (_IMAGES, _MASKS, QUERY_IMAGE, _MARKS), KShotOptions, (SUPPORT_SET, MODEL), (TIMEOUT,)
)
COMPLETION = FormLayout(_PAIR, CompletionOptions, (MODEL,), (TIMEOUT,))
MULTICLASS = FormLayout(
    (
        *(replace(part, room=part.room and _SHOTS_OF_ALL_CLASSES) for part in _PAIRS),
        QUERY_IMAGE,
        SUPPORT_LABEL,
    ),
    MulticlassOptions,
    (SUPPORT_SETS, MODEL),
    (TIMEOUT,),
)
BATCH = FormLayout(
    (_IMAGES, _MASKS, replace(QUERY_IMAGE, many=True, room=("max_queries",)), _MARKS),
    BatchOptions,
    (SUPPORT_SET, MODEL),
    (TIMEOUT,),
)
NEW_SET = FormLayout((NAME, LABEL, *_PAIRS), MaskOptions)
PAIRS = FormLayout(_PAIRS, MaskOptions)
ANNOTATIONS = FormLayout(
    (
        replace(
            MASK,
            description="Mask of the photograph of the same name, read as support_mask is.",
            many=True,
            room=("max_queries",),
        ),
        IMAGE,
        replace(LABEL, description="Name of the masks' class.", max_length=LABEL_LENGTH),
        CLASS_LABEL,
    ),
    AnnotationOptions,
)
MASK_FILE = FormLayout((MASK,), MaskOptions)
SET_CHANGE = FormLayout(
    (
        replace(NAME, description="The new name; no other set may have it.", required=False),
        replace(LABEL, description="The new label; blank takes the label away."),
    )
)
PAIR_CHANGE = FormLayout(
    tuple(replace(part, required=False, room=()) for part in _PAIR),
    MaskOptions,
)
ARCHIVE = FilePart(
    "archive",
    "An exported set: a ZIP archive of set.json and the files that it names.",
    media_types="application/zip",
)
SET_ARCHIVE = FormLayout(
    (
        ARCHIVE,
        replace(NAME, description="In place of the name in the archive.", required=False),
    ),
    MaskOptions,
)
