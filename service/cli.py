"""The ``sgone`` command. torch and the web framework are imported only where they are used."""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from service.flags import OneSentence, SettingsCommand

if TYPE_CHECKING:
    from model.guidance import Fusion

EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
EXISTING = click.Path(exists=True, path_type=Path)
ANY_PATH = click.Path(path_type=Path)

checkpoint_option = click.option(
    "--checkpoint", type=ANY_PATH, help="Checkpoint file.  [default: the shipped one]"
)
device_option = click.option("--device", help="auto, cpu, cuda or cuda:N.")
precision_option = click.option("--precision", help="auto, bfloat16 or float32.")
fusion_option = click.option(
    "--fusion",
    type=click.Choice(["average", "union"]),
    default="average",
    show_default=True,
    help="Average the supports' prototypes, or unite their masks.",
)


def _print_version(ctx: click.Context, _parameter: click.Parameter, asked: bool) -> None:
    if asked:
        from service.release import installed_version

        click.echo(f"sgone {installed_version()}")
        ctx.exit()


@click.group(cls=OneSentence, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version,
    help="Show the version.",
)  # fmt: skip
def main() -> None:
    """Few-shot segmentation: show an object once, get its mask in any photograph."""
    # torch's threads wait for each other in a loop unless told otherwise, and lose their turns to
    # any other busy process: beside one, a request took 3,400 ms, and with this 76 ms.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


@main.command(cls=SettingsCommand)
def serve(**flags: str | None) -> None:
    """Serve masks over HTTP. A flag beats its environment variable."""
    from service.settings import read_settings

    settings = read_settings(**flags)
    from service import server  # after the settings: a typing mistake is answered at once

    server.serve(settings)


@main.command()
@click.option("--support", "supports", type=EXISTING_FILE, multiple=True, required=True,
              help="Photograph that shows the object; repeat for K shots.")  # fmt: skip
@click.option("--mask", "masks", type=EXISTING_FILE, multiple=True, required=True,
              help="Its mask; one for each --support, in order.")  # fmt: skip
@click.argument("queries", type=EXISTING, nargs=-1, required=True)
@click.option("--out", type=ANY_PATH, required=True, help="Folder for the masks (NAME.png).")
@click.option("--overlay", is_flag=True, help="Also write NAME.overlay.png.")
@fusion_option
@checkpoint_option
@device_option
@precision_option
def segment(
    supports: tuple[Path, ...],
    masks: tuple[Path, ...],
    queries: tuple[Path, ...],
    out: Path,
    overlay: bool,
    fusion: str,
    **flags: Any,
) -> None:
    """Segment QUERIES (images or folders of them) on this machine, without a server."""
    if len(supports) != len(masks):
        raise click.UsageError(f"{len(supports)} --support but {len(masks)} --mask; pair them up")
    from tqdm import tqdm

    from service.local import LocalSegmenter, list_queries
    from service.settings import read_settings

    settings = read_settings(**flags)
    listed = list_queries(queries, out)
    segmenter = LocalSegmenter(settings, tuple(zip(supports, masks, strict=True)), _fusion(fusion))
    failures = 0
    for sentence in segmenter.write_all(tqdm(listed.items(), unit="image"), overlay=overlay):
        failures += 1
        tqdm.write(f"Error: {sentence}", file=sys.stderr)
    if failures:
        raise click.ClickException(f"{failures} of {len(listed)} queries failed; the rest are done")


@main.command()
@click.argument("config", type=EXISTING_FILE)
@click.option("--data", type=EXISTING, help="Data folder, instead of the recipe's.")
@click.option("--backbone-weights", type=EXISTING_FILE, help="Instead of the recipe's.")
@click.option("--run-dir", type=ANY_PATH, help="Folder for checkpoints, curves and masks.")
@click.option("--resume", is_flag=True, help="Go on where the run was stopped.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
def train(config: Path, **options: Any) -> None:
    """Train the network that CONFIG (TOML) describes."""
    from model import train

    train.main(config, **options)


@main.command()
@click.option("--checkpoint", type=ANY_PATH, help="[default: the shipped one]")
@click.option("--data", type=EXISTING, required=True, help="VOC layout, or CLASS/image + mask.")
@click.option("--list", "list_file", type=EXISTING_FILE, help="Names of the images to use.")
@click.option("--fold", type=click.IntRange(0, 3), help="Only this fold's classes (VOC).")
@click.option("--shots", type=click.IntRange(1), default=1, show_default=True)
@fusion_option
@click.option("--protocol", default="hsnet", show_default=True)
@click.option("--episodes", type=click.IntRange(1), default=1000, show_default=True)
@click.option("--seed", "seeds", type=int, multiple=True, default=(0,), help="Repeat for several.")
@click.option("--json", "json_path", type=ANY_PATH, help="Also write the scores here.")
@click.option("--device", default="auto", show_default=True)
@click.option("--precision", default="auto", show_default=True)
def evaluate(checkpoint: Path | None, fusion: str, **options: Any) -> None:
    """Measure mIoU and FB-IoU on a seeded list of episodes."""
    from model import evaluate

    evaluate.main(checkpoint or _shipped_checkpoint(), fusion=_fusion(fusion), **options)


@main.command()
@click.argument("source", type=EXISTING_FILE)
@click.argument("output", type=ANY_PATH)
def convert(source: Path, output: Path) -> None:
    """Bring SOURCE (.pth of the authors' code) over to the checkpoint OUTPUT."""
    from model import convert

    convert.main(source, output)


@main.command()
@checkpoint_option
@device_option
@precision_option
def info(**flags: Any) -> None:
    """Show the checkpoint, and the device and precision that it would run with."""
    from service.engine import Engine
    from service.settings import read_settings

    engine = Engine.load(read_settings(**flags))
    facts = {
        "checkpoint": engine.checkpoint.path,
        "sha256": engine.checkpoint.sha256,
        "architecture": engine.checkpoint.network.config,
        "transform": engine.checkpoint.transform,
        **vars(engine.checkpoint.card),
        "device": engine.device,
        "precision": engine.precision,
    }
    for name, value in facts.items():
        click.echo(f"{name}: {value}")


@main.command()
def openapi() -> None:
    """Print the OpenAPI description (docs/openapi.json)."""
    from service.app import create_app

    click.echo(json.dumps(create_app().openapi(), indent=2))


def _shipped_checkpoint() -> Path:
    from service.settings import read_settings

    return read_settings().checkpoint


def _fusion(name: str) -> "Fusion":
    """A name that click.Choice has let through."""
    return cast("Fusion", name)
