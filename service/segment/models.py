"""What can be told of the models, those that are not in memory included."""

import asyncio
import logging
from functools import lru_cache
from pathlib import Path

from model.checkpoint import Checkpoint, load_checkpoint
from service.inference.registry import Model
from service.mending import MENDABLE, sentence
from service.schemas import Model as Description
from service.schemas import ModelCard, Models
from service.segment.runtime import Runtime

_log = logging.getLogger(__name__)


async def describe_models(runtime: Runtime) -> Models:
    """Read the files of those that are not loaded, one after the other."""
    items = [await _describe(model) for model in runtime.models]
    return Models(default=runtime.models.default, items=items)


async def _describe(model: Model) -> Description:
    loaded = model.loaded
    return Description(
        name=model.name,
        state=model.state,
        in_use=model.wanted,
        memory_bytes=(loaded.memory_bytes or None) if loaded else None,
        card=card_of(loaded.engine.checkpoint) if loaded else await _card_of_file(model),
    )


def card_of(checkpoint: Checkpoint) -> ModelCard:
    """What a checkpoint says of itself."""
    card, decision = checkpoint.card, checkpoint.decision
    return ModelCard(
        title=card.name,
        architecture=checkpoint.architecture.backbone,
        checkpoint_sha256=checkpoint.sha256,
        classes_seen=list(card.classes),
        data=card.data,
        metrics=card.metrics,
        licence=card.licence,
        created=card.created,
        input_side=checkpoint.transform.side,
        object_threshold=decision.object_threshold,
        presence_threshold=decision.presence_threshold,
        presence_is_learned=checkpoint.architecture.presence,
    )


async def _card_of_file(model: Model) -> ModelCard | None:
    """None where it cannot be read."""
    try:
        stat = model.path.stat()
        return await asyncio.to_thread(_read, model.path, stat.st_mtime_ns, stat.st_size)
    except MENDABLE as error:
        _log.warning("model %s cannot be described: %s", model.name, sentence(error))
        return None


@lru_cache(maxsize=64)
def _read(path: Path, changed_ns: int, size: int) -> ModelCard:
    """The file as it was then; hashing it takes a tenth of a second."""
    return card_of(load_checkpoint(path))
