"""Options that several commands have."""

from pathlib import Path

import click

EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
EXISTING = click.Path(exists=True, path_type=Path)
ANY_PATH = click.Path(path_type=Path)

url_option = click.option(
    "--url", required=True, help="Address of the service, such as http://127.0.0.1:8000."
)
checkpoint_option = click.option(
    "--checkpoint", type=ANY_PATH, help="Checkpoint file.  [default: the shipped one]"
)
executor_option = click.option("--executor", help="auto, openvino or torch.")
device_option = click.option("--device", help="auto, cpu, cuda or cuda:N.")
precision_option = click.option("--precision", help="auto, bfloat16 or float32.")
# As service.options has them, which the command line does not wait for.
FORMATS = (
    *("masks", "overlays", "cutouts", "coco", "yolo", "voc", "label_studio"),
    *("label_studio_polygons", "csv", "jsonl"),
)
format_option = click.option(
    "--format", "formats", type=click.Choice(FORMATS), multiple=True, default=["masks"],
    show_default=True,
    help="What is written; repeat for several.",
)  # fmt: skip
instances_option = click.option(
    "--instances", is_flag=True, flag_value="true",
    help="An annotation for each connected part.",
)  # fmt: skip
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
