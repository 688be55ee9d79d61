"""Segmenting files on this machine, without a server."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from model.guidance import Fusion
from model.heads import Encoding
from model.predictor import Segmenter
from service.codec import Part, decode_photograph, decode_support
from service.engine import Engine
from service.errors import ServiceError, SettingsError, UndecodableImageError
from service.render import mask_png, object_mask, overlay_png
from service.settings import Settings

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")


def list_queries(paths: Iterable[Path], out: Path) -> dict[Path, Path]:
    """Each query file, folders opened one level deep, and the mask file that it gets in ``out``.

    Raises SettingsError for a folder without images, or where a file would be overwritten.
    """
    queries = [file for path in paths for file in _files(path)]
    masks: dict[Path, Path] = {}
    for query in dict.fromkeys(queries):
        mask = out / f"{query.stem}.png"
        if mask in masks.values():
            raise SettingsError(f"two queries would write {mask}; rename one, or run them apart")
        if mask.resolve() in (file.resolve() for file in queries):
            raise SettingsError(f"{mask} would overwrite a query; choose another --out")
        masks[query] = mask
    return masks


class LocalSegmenter:
    """K supports, encoded once, against any number of query files."""

    def __init__(
        self, settings: Settings, pairs: Sequence[tuple[Path, Path]], fusion: Fusion
    ) -> None:
        self._max_pixels = settings.max_image_pixels
        self._fusion = fusion
        self._segmenter: Segmenter = Engine.load(settings).segmenter
        self._encoding: Encoding = self._segmenter.encode_support(
            [
                self._segmenter.prepare_support(
                    decode_support(_part(image), _part(mask), self._max_pixels)
                )
                for image, mask in pairs
            ]
        )

    def write(self, query: Path, mask_file: Path, *, overlay: bool) -> None:
        """Segment one file and write its mask, and with ``overlay`` NAME.overlay.png beside it.

        Raises ServiceError for a query that cannot be used.
        """
        photograph = decode_photograph(_part(query), self._max_pixels)
        prepared = self._segmenter.prepare_query(photograph)
        logits = self._segmenter.segment(prepared, self._encoding, self._fusion)
        mask = object_mask(self._segmenter.restore(logits, prepared.size))
        mask_file.parent.mkdir(parents=True, exist_ok=True)
        mask_file.write_bytes(mask_png(mask))
        if overlay:
            mask_file.with_suffix(".overlay.png").write_bytes(overlay_png(photograph, mask))

    def write_all(self, masks: Iterable[tuple[Path, Path]], *, overlay: bool) -> Iterator[str]:
        """Write every mask; yield a sentence for each query that failed, and go on."""
        for query, mask_file in masks:
            try:
                self.write(query, mask_file, overlay=overlay)
            except ServiceError as error:
                yield str(error)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
    if not files:
        raise SettingsError(f"folder {path} has no image ({', '.join(SUFFIXES)})")
    return files


def _part(path: Path) -> Part:
    try:
        return Part(str(path), path.read_bytes())
    except OSError as error:
        raise UndecodableImageError(f"{path} cannot be read ({error.strerror})") from error
