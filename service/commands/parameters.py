"""Options that several commands have."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
EXISTING = click.Path(exists=True, path_type=Path)
ANY_PATH = click.Path(path_type=Path)

url_option = click.option(
    "--url", required=True, help="Address of the service, such as http://127.0.0.1:8000."
)
model_option = click.option(
    "--model", help="With --url: one of the service's models.  [default: the service's]"
)
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

# As service.options has them, which the command line does not wait for.
FORMATS = (
    *("masks", "overlays", "cutouts", "coco", "yolo", "voc", "label_studio"),
    *("label_studio_polygons", "csv", "jsonl"),
)
Decorator = Callable[[Any], Any]


def _together(*options: Decorator) -> Decorator:
    """Options that several commands share, in the order in which --help shows them."""

    def decorate(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


results_options = _together(
    click.option("--out", type=ANY_PATH, required=True, help="Folder for the results."),
    click.option("--format", "formats", type=click.Choice(FORMATS), multiple=True,
                 default=["masks"], show_default=True,
                 help="What is written; repeat for several."),
    click.option("--instances", is_flag=True, flag_value="true",
                 help="An annotation for each connected part."),
    click.option("--overwrite", is_flag=True, help="Do again what is there."),
    click.option("--jobs", type=click.IntRange(1, 64), default=2, show_default=True,
                 help="Queries at a time."),
    click.option("--url", help="Ask the service at this address instead of a network here."),
    model_option,
)  # fmt: skip
shaping_options = _together(
    click.option("--mask-format", metavar="FORMAT", help="What is object in the masks: light, "
                 "on_white, labels, alpha or visible.  [default: auto, as the file says]"),
    click.option("--threshold", metavar="NUMBER",
                 help="Object is above it.  [default: the network's]"),
    click.option("--no-refine", "refine", is_flag=True, flag_value="false",
                 help="Borders as the network draws them."),
    click.option("--min-area", metavar="PIXELS", help="Drop smaller parts.  [default: 0]"),
    click.option("--fill-holes", is_flag=True, flag_value="true", help="Fill what is enclosed."),
    click.option("--largest-component", is_flag=True, flag_value="true",
                 help="Keep one part only."),
)  # fmt: skip
network_options = _together(checkpoint_option, executor_option, device_option, precision_option)
