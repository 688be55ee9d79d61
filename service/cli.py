"""The ``sgone`` command. torch and the web framework are imported only where they are used."""

import os

import click

from service.commands.connecting import connect
from service.commands.models import models
from service.commands.segmenting import complete, segment
from service.commands.serving import graphs, info, openapi, prepare, serve
from service.commands.supports import supports
from service.commands.training import (
    calibrate,
    composites,
    convert,
    distill,
    evaluate,
    regions,
    train,
)
from service.flags import OneSentence


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


for command in (
    serve,
    segment,
    complete,
    train,
    distill,
    evaluate,
    calibrate,
    convert,
    info,
    prepare,
    graphs,
    openapi,
    composites,
    regions,
    models,
    supports,
    connect,
):
    main.add_command(command)
