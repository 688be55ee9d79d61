"""Commands of who runs the service."""

import json
from pathlib import Path
from typing import Any

import click

from service.commands.parameters import (
    EXISTING_FILE,
    checkpoint_option,
    device_option,
    executor_option,
    precision_option,
)
from service.flags import SettingsCommand


@click.command(cls=SettingsCommand)
def serve(**flags: str | None) -> None:
    """Serve masks over HTTP. A flag beats its environment variable."""
    from service.settings import read_settings

    settings = read_settings(**flags)
    # After the settings, so that a typing mistake is answered at once.
    from service.serve import command

    command.serve(settings)


@click.command()
@checkpoint_option
@executor_option
@device_option
@precision_option
def info(**flags: Any) -> None:
    """Show the checkpoint, and the device and precision that it would run with."""
    from service.inference.engine import Engine
    from service.settings import read_settings

    engine = Engine.load(read_settings(**flags))
    facts = {
        "checkpoint": engine.checkpoint.path,
        "sha256": engine.checkpoint.sha256,
        "architecture": engine.checkpoint.architecture,
        "transform": engine.checkpoint.transform,
        "decision": engine.checkpoint.decision,
        **vars(engine.checkpoint.card),
        "executor": engine.executor.name,
        "device": engine.executor.device,
        "precision": engine.executor.precision,
    }
    for name, value in facts.items():
        click.echo(f"{name}: {value}")


@click.command(cls=SettingsCommand)
def prepare(**flags: str | None) -> None:
    """Load each model once, so that no later start or request waits for its preparation."""
    from service.checkpoints.named import named_checkpoints
    from service.inference.engine import Engine
    from service.settings import read_settings

    settings = read_settings(**flags)
    for path in named_checkpoints(settings).values():
        engine = Engine.load(settings.model_copy(update={"checkpoint": path}))
        for task in engine.warm_up_tasks(thorough=True):
            engine.run(task)
        click.echo(f"{path.name} is ready for {engine.executor.name}")


@click.command()
def openapi() -> None:
    """Print the OpenAPI description (docs/openapi.json)."""
    from service.app import create_app

    click.echo(json.dumps(create_app().openapi(), indent=2))


@click.command()
@click.argument("checkpoints", type=EXISTING_FILE, nargs=-1, required=True)
def graphs(checkpoints: tuple[Path, ...]) -> None:
    """Write NAME.graphs beside each of CHECKPOINTS, which are then served without torch."""
    from model.checkpoint import load_checkpoint
    from model.executors.export import write_portable

    for path in checkpoints:
        click.echo(write_portable(load_checkpoint(path)))
