"""Commands of who trains and measures."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from service.commands.parameters import (
    ANY_PATH,
    EXISTING,
    EXISTING_FILE,
    device_option,
    executor_option,
    fusion_option,
    mask_format_option,
    precision_option,
)
from service.flags import check_unwritten

if TYPE_CHECKING:
    from model.episode import Fusion
    from model.evaluation.baselines import BaselineName
    from model.evaluation.protocols import ProtocolName


@click.command()
@click.argument("config", type=EXISTING_FILE)
@click.option("--data", type=EXISTING, help="Data folder, instead of the recipe's.")
@click.option("--backbone-weights", type=EXISTING_FILE, help="Instead of the recipe's.")
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


@click.command()
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


@click.command()
@click.argument("checkpoint", type=EXISTING_FILE)
@click.option("--judge", "judges", type=EXISTING_FILE, multiple=True, required=True,
              help="A network that was trained without some classes; repeat.")  # fmt: skip
@click.option("--data", type=EXISTING, required=True, help="Folder of a data set.")
@click.option("--list", "list_file", type=EXISTING_FILE, help="What of the data set to use.")
@click.option("--episodes", type=click.IntRange(20), default=200, show_default=True,
              help="Of each judge and number of shots, with the object and without.")  # fmt: skip
@click.option("--found", type=click.FloatRange(0.5, 1), default=0.95, show_default=True,
              help="Share of the queries with the object that are to be found.")  # fmt: skip
@click.option("--side", type=click.IntRange(33),
              help="Pixels at which it is to be served.  [default: its own]")  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--out", type=ANY_PATH, required=True, help="The calibrated checkpoint.")
@click.option("--curve", type=ANY_PATH, help="Picture of how far presence may be believed.")
@click.option("--overwrite", is_flag=True, help="Write over what is there.")
@executor_option
@device_option
@precision_option
def calibrate(
    checkpoint: Path,
    judges: tuple[Path, ...],
    episodes: int,
    found: float,
    side: int | None,
    seed: int,
    overwrite: bool,
    executor: str | None,
    device: str | None,
    precision: str | None,
    **options: Any,
) -> None:
    """Make the presence of CHECKPOINT a probability, and choose its thresholds.

    Judges are networks of the same recipe; each is asked about the classes that it has not seen.
    """
    from model.evaluation import calibration
    from service.inference.engine import placement_of
    from service.settings import read_settings

    if not overwrite:
        check_unwritten(options["out"], options["curve"])
    placement = placement_of(read_settings(executor=executor, device=device, precision=precision))
    questions = calibration.Questions(
        episodes, seed=seed, found=found, side=side, placement=placement
    )
    calibration.main(checkpoint, judges, questions=questions, **options)


@click.command()
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
@click.option("--fold", type=click.IntRange(0), help="Only this fold's test classes.")
@click.option("--shots", type=click.IntRange(1), multiple=True,
              help="Repeat for a curve.  [default: 1; with --multiclass 5]")  # fmt: skip
@fusion_option
@click.option(
    "--protocol",
    type=click.Choice(["hsnet", "oslsm", "matcher", "perseg"]),
    default="hsnet",
    show_default=True,
    help="OSLSM's is the paper's; Matcher's is for LVIS, PerSeg's for PerSeg.",
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
    shots: tuple[int, ...],
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
    shots = shots or ((5,) if multiclass else (1,))
    experiment = Experiment(
        seeds,
        protocol,
        shots[0],
        fusion,
        episodes,
        baseline,
        multiclass,
        presence,
        refined,
        placement_of(settings),
    )
    checkpoints = checkpoints or (settings.checkpoint,)
    evaluate.main(experiment, checkpoints, curve=shots, **options)


@click.command()
@click.argument("source", type=EXISTING_FILE)
@click.argument("output", type=ANY_PATH)
def convert(source: Path, output: Path) -> None:
    """Bring SOURCE (.pth of the authors' code) over to the checkpoint OUTPUT."""
    from model import convert

    convert.main(source, output)


@click.command()
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


@click.command()
@click.option("--photographs", type=EXISTING, multiple=True, required=True,
              help="Folder of photographs of anything; repeat for several.")  # fmt: skip
@click.option("--objects", type=EXISTING, multiple=True,
              help="Folder of CLASS/*.jpg with masks, to take apart; repeat.")  # fmt: skip
@click.option("--out", type=ANY_PATH, required=True, help="Folder to make.")
@click.option("--limit", type=click.IntRange(1), default=400, show_default=True,
              help="Photographs at most, and objects at most.")  # fmt: skip
@click.option("--per-photograph", type=click.IntRange(1), default=4, show_default=True)
@click.option("--views", type=click.IntRange(1), default=2, show_default=True,
              help="Variations of a photograph.")  # fmt: skip
@click.option("--side", type=click.IntRange(64), default=321, show_default=True, help="Pixels.")
@click.option("--seed", type=int, default=0, show_default=True)
def regions(out: Path, **options: Any) -> None:
    """Make a training set of parts, materials and textures from photographs and composites."""
    from model.composites import regions

    regions.main(regions.RegionPlan(**options), out)
