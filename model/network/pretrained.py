"""ImageNet's weights, from files or from torchvision's download, into a backbone."""

from collections.abc import Callable, Mapping
from pathlib import Path

import torchvision
from torch import Tensor

from model.errors import CheckpointError
from model.network.architecture import BackboneName
from model.network.backbone import Backbone
from model.network.efficientnet import lite2_name
from model.network.residual import resnet50_name
from model.network.transformer import transformer_name
from model.network.weights import read_weights

OFFICIAL_NAMES: dict[BackboneName, Callable[[str], str]] = {
    "efficientnet_lite2_pyramid": lite2_name,
    "resnet50_pyramid": resnet50_name,
    "dinov2_vits14_pyramid": transformer_name,
    "dinov2_vitb14_pyramid": transformer_name,
    "dinov2_vitl14_pyramid": transformer_name,
    "dinov3_vits16_pyramid": transformer_name,
    "dinov3_vitb16_pyramid": transformer_name,
    "dinov3_vitl16_pyramid": transformer_name,
}
"""A tensor of the chain -> its name in the file; torchvision's ``features.`` for the rest."""
DOWNLOADS: dict[BackboneName, str] = {
    "vgg16": "vgg16",
    "mobilenet_v2": "mobilenet_v2",
    "mobilenet_v2_pyramid": "mobilenet_v2",
}


def load_imagenet_weights(backbone: Backbone, name: BackboneName, file: Path | None = None) -> None:
    """Load a file of pre-trained weights, or torchvision's own download without one.

    It is safetensors, or what torch's ``weights_only`` reads of a .pth; an SG-One checkpoint of the
    same backbone is taken too. Raises CheckpointError where a tensor is missing, of another shape
    or not finite.
    """
    if file is None and name not in DOWNLOADS:
        raise CheckpointError(
            f"{name} needs a file of ImageNet's weights; name it with --backbone-weights"
        )
    source = read_weights(file) if file else _download(name)
    if any(key.startswith("backbone.") for key in source):
        names = {key: f"backbone.{key.removeprefix('support.')}" for key in backbone.state_dict()}
    else:
        official = OFFICIAL_NAMES.get(name, "features.{}".format)
        names = {
            key: official(key.rpartition("layers.")[2])
            for key in backbone.state_dict()
            if not key.startswith("reduce.")
        }
    where = file or "the download"
    _fill(backbone, names, source, f"{where} does not hold the {name} weights")


def _download(name: BackboneName) -> dict[str, Tensor]:
    weights = torchvision.models.get_model_weights(DOWNLOADS[name]).DEFAULT
    return dict(weights.get_state_dict(check_hash=True, weights_only=True))


def _fill(
    backbone: Backbone, names: Mapping[str, str], source: Mapping[str, Tensor], complaint: str
) -> None:
    """Take what is named of the source; the input channels of masks are no one's and stay.

    Batch normalisation's count of batches, which some releases leave out, serves training alone.
    """
    optional = {theirs for theirs in names.values() if theirs.endswith("num_batches_tracked")}
    absent = optional - source.keys()
    try:
        found = {
            key: source[theirs]
            for key, theirs in names.items()
            if ".masks." not in key and theirs not in absent
        }
        backbone.load_state_dict(backbone.state_dict() | found)
    except (KeyError, RuntimeError) as error:
        raise CheckpointError(f"{complaint} ({error})") from error
