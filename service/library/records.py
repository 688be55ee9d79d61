"""What the library takes and gives: pairs, encodings, and how much there may be of them."""

import sys
from datetime import datetime
from typing import NamedTuple


class NewPair(NamedTuple):
    """A pair to store: both files as uploaded, a PNG of both for lists, and the decoded size."""

    image: bytes
    mask: bytes
    thumbnail: bytes
    width: int
    height: int
    area: int


class EncodingKey(NamedTuple):
    """What an encoding depends on besides its pair."""

    checkpoint_sha256: str
    precision: str
    input_side: int


class PairState(NamedTuple):
    """A pair as it was at some moment: ``stored`` is when its files were."""

    pair_id: str
    stored: datetime


class StoredPair(NamedTuple):
    """Both files of a pair, as they were uploaded, and the object's pixels as the mask was read."""

    state: PairState
    area: int
    image: bytes
    mask: bytes


class StoredShot(NamedTuple):
    """A pair with its encoding (safetensors); where it has none yet, with its two files."""

    state: PairState
    area: int
    encoding: bytes | None
    image: bytes | None
    mask: bytes | None


class StoreLimits(NamedTuple):
    """How much may be stored: sets, and bytes of their files."""

    sets: int
    content_bytes: int


NO_LIMITS = StoreLimits(sys.maxsize, sys.maxsize)
