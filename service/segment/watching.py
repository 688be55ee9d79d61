"""Gauges that follow what is in memory."""

from service.inference.engine import Engine
from service.inference.registry import ModelRegistry
from service.metrics.telemetry import Telemetry
from service.release import installed_version
from service.segment.runtime import Runtime


def watch(telemetry: Telemetry, runtime: Runtime) -> None:
    """Show what waits, and what is held."""
    gauges, models = telemetry.gauges, runtime.models
    follow = telemetry.exposition.watch
    follow(gauges.queue_depth, lambda: runtime.queue.waiting)
    follow(
        gauges.prototype_cache,
        lambda: sum(engine.prototypes.held_bytes for engine in models.engines),
    )
    follow(gauges.device_memory, lambda: models.engines[0].executor.memory_bytes())
    tell_models(telemetry, models)


def tell_models(telemetry: Telemetry, models: ModelRegistry) -> None:
    """Show which are loaded."""
    gauges = telemetry.gauges
    for model in models:
        loaded = model.loaded
        gauges.model_loaded.labels(model.name).set(loaded is not None)
        gauges.model_memory.labels(model.name).set(loaded.memory_bytes if loaded else 0)
    gauges.show_builds(map(_build, models.engines))


def _build(engine: Engine) -> tuple[str, ...]:
    """The labels of ``sgone_info``."""
    checkpoint, executor = engine.checkpoint, engine.executor
    network = (checkpoint.card.name, checkpoint.sha256)
    return (installed_version(), *network, executor.name, executor.device, executor.precision)
