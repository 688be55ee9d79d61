"""The ``sgone`` command. torch and the web framework are imported only where they are used."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from service.flags import OneSentence, SettingsCommand, check_unwritten
from service.supports_commands import supports

if TYPE_CHECKING:
    from model.episode import Fusion
    from model.evaluation.baselines import BaselineName
    from model.evaluation.protocols import ProtocolName

EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
EXISTING = click.Path(exists=True, path_type=Path)
ANY_PATH = click.Path(path_type=Path)

checkpoint_option = click.option(
    "--checkpoint", type=ANY_PATH, help="Checkpoint file.  [default: the shipped one]"
)
executor_option = click.option("--executor", help="auto, openvino or torch.")
device_option = click.option("--device", help="auto, cpu, cuda or cuda:N.")
precision_option = click.option("--precision", help="auto, bfloat16 or float32.")
mask_format_option = click.option(
    "--mask-format",
    type=click.Choice(["auto", "light", "on_white", "labels", "alpha", "visible"]),
    help="What is object in the masks of a folder of classes.  [default: as each file says]",
)
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
    # numpy multiplies small matrices only; its own threads get in the way of the network's.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


main.add_command(supports)


@main.command(cls=SettingsCommand)
def serve(**flags: str | None) -> None:
    """Serve masks over HTTP. A flag beats its environment variable."""
    from service.settings import read_settings

    settings = read_settings(**flags)
    # After the settings, so that a typing mistake is answered at once.
    from service.serve import command

    command.serve(settings)


@main.command()
@click.option("--support", "supports", type=EXISTING_FILE, multiple=True,
              help="Photograph that shows the object; repeat for K shots.")  # fmt: skip
@click.option("--mask", "masks", type=EXISTING_FILE, multiple=True,
              help="Its mask; one for each --support, in order.")  # fmt: skip
@click.argument("queries", type=EXISTING, nargs=-1, required=True)
@click.option("--out", type=ANY_PATH, required=True, help="Folder for the results.")
@click.option("--format", "formats", type=click.Choice(["masks", "overlays", "cutouts", "coco"]),
              multiple=True, default=["masks"], show_default=True,
              help="NAME.png, NAME.overlay.png, NAME.cutout.png, or one annotations.json; repeat "
              "for several.")  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Do again what is there.")
@click.option("--jobs", type=click.IntRange(1, 64), default=2, show_default=True,
              help="Queries at a time.")  # fmt: skip
@click.option("--url", help="Ask the service at this address instead of a network here.")
@click.option("--support-set", help="With --url: a stored set, by name or id, as the supports.")
@click.option("--label", help="Category in annotations.json.  [default: the set's, or object]")
@click.option("--mask-format", metavar="FORMAT", help="What is object in the masks: light, "
              "on_white, labels, alpha or visible.  [default: auto, as the file says]")  # fmt: skip
@click.option("--threshold", metavar="NUMBER", help="Object is above it.  [default: the network's]")
@click.option("--presence-threshold", metavar="NUMBER",
              help="Mark nothing below it; 0 always marks.  [default: the network's]")  # fmt: skip
@click.option("--no-refine", "refine", is_flag=True, flag_value="false",
              help="Borders as the network draws them.")  # fmt: skip
@click.option("--min-area", metavar="PIXELS", help="Drop smaller parts.  [default: 0]")
@click.option("--fill-holes", is_flag=True, flag_value="true", help="Fill what is enclosed.")
@click.option("--largest-component", is_flag=True, flag_value="true", help="Keep one part only.")
@fusion_option
@checkpoint_option
@executor_option
@device_option
@precision_option
def segment(
    queries: tuple[Path, ...],
    out: Path,
    formats: tuple[Any, ...],
    overwrite: bool,
    jobs: int,
    **given: Any,
) -> None:
    """Segment QUERIES: images, and folders with all that lies below them.

    What is done already is skipped, so that the same command goes on where it was stopped.
    """
    from service.folders.sources import Sources
    from service.folders.sweep import plan_sweep, run
    from service.options import KShotOptions, read_options

    texts = {name: given.pop(name) for name in KShotOptions.model_fields if name in given}
    sources = Sources(**given)
    options = read_options(KShotOptions, {k: text for k, text in texts.items() if text is not None})
    try:
        sweep = plan_sweep(queries, out, formats)
        with sources.open(options) as finder:
            failed = run(sweep, finder, options, overwrite=overwrite, jobs=jobs)
    except KeyboardInterrupt:
        click.echo("Stopped; the same command (without --overwrite) goes on from here.", err=True)
        click.get_current_context().exit(130)
    if failed:
        raise click.ClickException(
            f"{failed} of {len(sweep.queries)} queries failed; the rest are done"
        )


@main.command()
@click.argument("config", type=EXISTING_FILE)
@click.option("--data", type=EXISTING, help="Data folder, instead of the recipe's.")
@click.option("--backbone-weights", type=EXISTING_FILE, multiple=True,
              help="Instead of the recipe's; a backbone of two takes two files.")  # fmt: skip
@click.option("--composites", type=EXISTING, help="Instead of the recipe's (sgone composites).")
@click.option("--regions", type=EXISTING, help="Instead of the recipe's (sgone regions).")
@click.option("--fold", type=click.IntRange(0, 3), help="Never see this fold's test classes.")
@mask_format_option
@click.option("--held-out", multiple=True, help="Choose the checkpoint by this class; repeat.")
@click.option("--run-dir", type=ANY_PATH, help="Folder for checkpoints, curves and masks.")
@click.option("--features", type=ANY_PATH, help="Folder for a frozen backbone's features, shared.")
@click.option("--resume", is_flag=True, help="Go on where the run was stopped.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
def train(config: Path, **options: Any) -> None:
    """Train the network that CONFIG (TOML) describes."""
    from model.training import train

    train.main(config, **options)


@main.command()
@click.argument("config", type=EXISTING_FILE)
@click.option("--data", type=EXISTING, help="Folder of the material, instead of the recipe's.")
@click.option("--run-dir", type=ANY_PATH, help="Folder for the weights and their history.")
@click.option("--steps", type=click.IntRange(0), help="Length of the run, instead of the recipe's.")
@click.option("--resume", is_flag=True, help="Go on where the run was stopped.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
def distill(config: Path, **options: Any) -> None:
    """Distil a VGG-16 backbone as CONFIG (TOML) describes."""
    from model.distillation import distill

    distill.main(config, **options)


@main.command()
@click.option(
    "--checkpoint",
    "checkpoints",
    type=ANY_PATH,
    multiple=True,
    help="Four, or a name with {fold}, for --table.  [default: the shipped one]",
)
@click.option("--data", type=EXISTING, required=True, help="Folder of a data set.")
@click.option("--list", "list_file", type=EXISTING_FILE, help="What of the data set to use.")
@mask_format_option
@click.option("--fold", type=click.IntRange(0, 3), help="Only this fold's test classes.")
@click.option("--shots", type=click.IntRange(1), help="[default: 1; with --multiclass 5]")
@fusion_option
@click.option(
    "--protocol",
    type=click.Choice(["hsnet", "oslsm"]),
    default="hsnet",
    show_default=True,
    help="HSNet's, or OSLSM's, which the paper follows.",
)
@click.option("--episodes", type=click.IntRange(1), default=1000, show_default=True)
@click.option(
    "--seed",
    "seeds",
    type=int,
    multiple=True,
    help="Repeat for several.  [default: the protocol's]",
)
@click.option(
    "--baseline",
    type=click.Choice(["1nn", "logreg"]),
    help="On the checkpoint's backbone, instead of its network.",
)
@click.option("--presence", is_flag=True, help="Also with queries that do not show the class.")
@click.option("--refine", "refined", is_flag=True, help="Borders that follow the photograph.")
@click.option("--multiclass", is_flag=True, help="All classes of the fold in every query.")
@click.option("--table", type=ANY_PATH, help="Write the paper's Tables 2 to 4 here (Markdown).")
@click.option("--json", "json_path", type=ANY_PATH, help="Also write the scores here.")
@click.option("--pictures", type=ANY_PATH, help="Folder for pictures of the first seed.")
@click.option("--overwrite", is_flag=True, help="Write over what is there.")
@executor_option
@device_option
@precision_option
def evaluate(
    checkpoints: tuple[Path, ...],
    protocol: "ProtocolName",
    shots: int | None,
    fusion: "Fusion",
    episodes: int,
    seeds: tuple[int, ...],
    baseline: "BaselineName | None",
    multiclass: bool,
    overwrite: bool,
    presence: bool,
    refined: bool,
    executor: str | None,
    device: str | None,
    precision: str | None,
    **options: Any,
) -> None:
    """Measure mIoU, FB-IoU and boundary IoU on a seeded list of episodes."""
    from model.evaluation import evaluate
    from model.evaluation.bench import Experiment
    from service.inference.engine import placement_of
    from service.settings import read_settings

    if not overwrite:
        table, report = options["table"], options["json_path"]
        beside = table.with_suffix(".json") if table and not report else None
        check_unwritten(table, report, beside, options["pictures"])
    settings = read_settings(executor=executor, device=device, precision=precision)
    shots = shots or (5 if multiclass else 1)
    experiment = Experiment(
        seeds,
        protocol,
        shots,
        fusion,
        episodes,
        baseline,
        multiclass,
        presence,
        refined,
        placement_of(settings),
    )
    checkpoints = checkpoints or (settings.checkpoint,)
    evaluate.main(experiment, checkpoints, **options)


@main.command()
@click.argument("source", type=EXISTING_FILE)
@click.argument("output", type=ANY_PATH)
def convert(source: Path, output: Path) -> None:
    """Bring SOURCE (.pth of the authors' code) over to the checkpoint OUTPUT."""
    from model import convert

    convert.main(source, output)


@main.command()
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


@main.command(cls=SettingsCommand)
def prepare(**flags: str | None) -> None:
    """Load the checkpoint once, so that no later start waits for its preparation."""
    from service.inference.engine import Engine
    from service.settings import read_settings

    engine = Engine.load(read_settings(**flags))
    for task in engine.warm_up_tasks(thorough=True):
        engine.run(task)
    click.echo(f"{engine.checkpoint.path.name} is ready for {engine.executor.name}")


@main.command()
@click.argument("checkpoints", type=EXISTING_FILE, nargs=-1, required=True)
def graphs(checkpoints: tuple[Path, ...]) -> None:
    """Write NAME.graphs beside each of CHECKPOINTS, which are then served without torch."""
    from model.checkpoint import load_checkpoint
    from model.executors.export import write_portable

    for path in checkpoints:
        click.echo(write_portable(load_checkpoint(path)))


@main.command()
def openapi() -> None:
    """Print the OpenAPI description (docs/openapi.json)."""
    from service.app import create_app

    click.echo(json.dumps(create_app().openapi(), indent=2))


@main.command()
@click.option("--objects", type=EXISTING, required=True,
              help="Folder of CLASS/*.jpg, one object in the middle of each.")  # fmt: skip
@click.option("--backgrounds", type=EXISTING, multiple=True, required=True,
              help="Folder of photographs to paste on; repeat for several.")  # fmt: skip
@click.option("--out", type=ANY_PATH, required=True, help="Folder to make.")
@click.option("--per-class", type=click.IntRange(1), default=24, show_default=True)
@click.option("--cutouts-per-class", type=click.IntRange(1), default=14, show_default=True)
@click.option("--side", type=click.IntRange(64), default=321, show_default=True, help="Pixels.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--leave-out", multiple=True, metavar="CLASS",
              help="Besides those near VOC's classes; repeat for several.")  # fmt: skip
def composites(out: Path, **options: Any) -> None:
    """Make a training set of many classes from photographs without masks."""
    from model.composites import composites

    composites.main(composites.CompositeRecipe(**options), out)


@main.command()
@click.option("--photographs", type=EXISTING, multiple=True, required=True,
              help="Folder of photographs of anything; repeat for several.")  # fmt: skip
@click.option("--out", type=ANY_PATH, required=True, help="Folder to make.")
@click.option("--limit", type=click.IntRange(1), default=400, show_default=True,
              help="Photographs at most.")  # fmt: skip
@click.option("--per-photograph", type=click.IntRange(1), default=4, show_default=True)
@click.option("--views", type=click.IntRange(1), default=2, show_default=True,
              help="Variations of a photograph.")  # fmt: skip
@click.option("--side", type=click.IntRange(64), default=321, show_default=True, help="Pixels.")
@click.option("--seed", type=int, default=0, show_default=True)
def regions(out: Path, **options: Any) -> None:
    """Make a training set of parts, materials and textures from photographs without masks."""
    from model.composites import regions

    regions.main(regions.RegionPlan(**options), out)
