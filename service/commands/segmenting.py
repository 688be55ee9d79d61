"""``sgone segment``: masks of files and folders."""

from pathlib import Path
from typing import Any

import click

from service.commands.parameters import (
    ANY_PATH,
    EXISTING,
    EXISTING_FILE,
    checkpoint_option,
    device_option,
    executor_option,
    format_option,
    fusion_option,
    instances_option,
    precision_option,
)


@click.command()
@click.option("--support", "supports", type=EXISTING_FILE, multiple=True,
              help="Photograph that shows the object; repeat for K shots.")  # fmt: skip
@click.option("--mask", "masks", type=EXISTING_FILE, multiple=True,
              help="Its mask, or a rough mark (.json), for each --support in order.")  # fmt: skip
@click.argument("queries", type=EXISTING, nargs=-1, required=True)
@click.option("--out", type=ANY_PATH, required=True, help="Folder for the results.")
@format_option
@instances_option
@click.option("--overwrite", is_flag=True, help="Do again what is there.")
@click.option("--jobs", type=click.IntRange(1, 64), default=2, show_default=True,
              help="Queries at a time.")  # fmt: skip
@click.option("--url", help="Ask the service at this address instead of a network here.")
@click.option("--support-set", help="With --url: a stored set, by name or id, as the supports.")
@click.option("--label", help="Name of the object's class.  [default: the set's, or object]")
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
