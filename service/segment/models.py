"""What can be told of the models, those that are not in memory included."""

import asyncio
import logging
import time
from functools import lru_cache
from pathlib import Path

from model.checkpoint import Checkpoint, load_checkpoint
from model.errors import ModelError
from service.errors import ModelNotReloadedError
from service.inference.registry import ServedModel
from service.mending import MENDABLE, sentence
from service.release import installed_version
from service.schemas import Info, Limits, Model, ModelCard, Models, Reloaded
from service.segment.inputs import MODEL
from service.segment.runtime import Runtime

_log = logging.getLogger(__name__)


async def describe_models(runtime: Runtime) -> Models:
    """Read the files of those that are not loaded, one after the other."""
    items = [await _describe(model) for model in runtime.models]
    return Models(default=runtime.models.default, items=items)


async def _describe(model: ServedModel) -> Model:
    loaded = model.loaded
    return Model(
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


async def _card_of_file(model: ServedModel) -> ModelCard | None:
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


def describe_instance(runtime: Runtime) -> Info:
    """The reply of /info."""
    engine, settings = runtime.engine, runtime.settings
    return Info(
        version=installed_version(),
        model=engine.checkpoint.card.name,
        architecture=engine.checkpoint.architecture.backbone,
        checkpoint_sha256=engine.checkpoint.sha256,
        classes_seen=list(engine.checkpoint.card.classes),
        executor=engine.executor.name,
        device=engine.executor.device,
        precision=engine.executor.precision,
        input_side=engine.predictor.transform.side,
        object_threshold=engine.checkpoint.decision.object_threshold,
        presence_threshold=engine.checkpoint.decision.presence_threshold,
        presence_is_learned=engine.checkpoint.architecture.presence,
        limits=Limits(
            max_shots=settings.max_shots,
            max_classes=settings.max_classes,
            max_queries=settings.max_queries,
            max_image_pixels=settings.max_image_pixels,
            max_upload_bytes=settings.max_upload_bytes,
            max_batch_bytes=settings.max_batch_bytes,
            max_queue=settings.max_queue,
            request_timeout_ms=settings.request_timeout_ms,
        ),
    )


async def reload_model(runtime: Runtime, name: str) -> Reloaded:
    """What its file holds now serves from now on; ModelNotReloadedError where it is not fit to."""
    model, started = runtime.models.find(name), time.monotonic()
    before = _sha256_of(model)
    try:
        await runtime.models.reload(name)
    except (ModelError, OSError) as error:
        raise ModelNotReloadedError(
            f"model {name} stays as it was: {sentence(error)}", field=MODEL.name
        ) from error
    seconds = round(time.monotonic() - started, 3)
    return Reloaded(
        name=name, previous_sha256=before, checkpoint_sha256=_sha256_of(model), seconds=seconds
    )


def _sha256_of(model: ServedModel) -> str | None:
    return model.loaded.engine.checkpoint.sha256 if model.loaded else None
