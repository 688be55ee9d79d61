"""``sgone segment`` and ``sgone complete``: masks of files and folders."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from service.commands.parameters import (
    EXISTING,
    EXISTING_FILE,
    fusion_option,
    network_options,
    results_options,
    shaping_options,
)

if TYPE_CHECKING:
    from service.folders.sweep import Finder, Sweep
    from service.options import AnyOptions, Options


@click.command()
@click.option("--support", "supports", type=EXISTING_FILE, multiple=True,
              help="Photograph that shows the object; repeat for K shots.")  # fmt: skip
@click.option("--mask", "masks", type=EXISTING_FILE, multiple=True,
              help="Its mask, or a rough mark (.json), for each --support in order.")  # fmt: skip
@click.argument("queries", type=EXISTING, nargs=-1, required=True)
@results_options
@click.option("--support-set", help="With --url: a stored set, by name or id, as the supports.")
@click.option("--label", help="Name of the object's class.  [default: the set's, or object]")
@click.option("--presence-threshold", metavar="NUMBER",
              help="Mark nothing below it; 0 always marks.  [default: the network's]")  # fmt: skip
@shaping_options
@fusion_option
@network_options
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
    from service.folders.sweep import plan_sweep
    from service.options import KShotOptions

    options = _read(KShotOptions, given)
    sources = Sources(**given)
    sweep = plan_sweep(queries, out, formats)
    _run(sweep, lambda: sources.open(options), options, overwrite, jobs)


@click.command()
@click.option("--mark", type=EXISTING, required=True,
              help="Rough mark (.json) or mask of the photograph, or a folder with one of each.",
              )  # fmt: skip
@click.argument("photographs", type=EXISTING, nargs=-1, required=True)
@results_options
@click.option("--label", help="Name of the object's class.  [default: object]")
@click.option("--presence-threshold", metavar="NUMBER",
              help="Mark nothing below it.  [default: 0, which always marks]")  # fmt: skip
@shaping_options
@network_options
def complete(
    photographs: tuple[Path, ...],
    mark: Path,
    out: Path,
    formats: tuple[Any, ...],
    overwrite: bool,
    jobs: int,
    **given: Any,
) -> None:
    """Make masks of what is roughly marked in PHOTOGRAPHS: images, and folders of them.

    A folder of marks has one for each photograph, of its name but for the suffix. Photographs
    without a mark are left out.
    """
    from service.folders.completing import Completion, marked
    from service.folders.sweep import plan_sweep
    from service.options import CompletionOptions

    options = _read(CompletionOptions, given)
    completion = Completion(**given)
    sweep, marks = marked(plan_sweep(photographs, out, formats), mark)
    _run(sweep, lambda: completion.open(marks, options), options, overwrite, jobs)


def _read(kind: "type[AnyOptions]", given: dict[str, Any]) -> "AnyOptions":
    """Take those of ``kind`` out of the flags."""
    from service.options import read_options

    texts = {name: given.pop(name) for name in kind.model_fields if name in given}
    return read_options(kind, {name: text for name, text in texts.items() if text is not None})


def _run(
    sweep: "Sweep",
    opening: Callable[[], "AbstractContextManager[Finder]"],
    options: "Options",
    overwrite: bool,
    jobs: int,
) -> None:
    from service.folders.sweep import run

    try:
        with opening() as finder:
            failed = run(sweep, finder, options, overwrite=overwrite, jobs=jobs)
    except KeyboardInterrupt:
        click.echo("Stopped; the same command (without --overwrite) goes on from here.", err=True)
        click.get_current_context().exit(130)
    if failed:
        raise click.ClickException(
            f"{failed} of {len(sweep.queries)} queries failed; the rest are done"
        )
