"""The network that a run starts from."""

from collections.abc import Sequence
from typing import cast

from model.datasets.sampling import EpisodeViews
from model.errors import ConfigError
from model.network.heads import GuidanceBranch
from model.network.pretrained import load_imagenet_weights
from model.network.sgone import SGOne
from model.training.features import FeatureStore
from model.training.recipe import Recipe


def build_network(recipe: Recipe) -> SGOne:
    """Random head, pre-trained backbone; frozen where the recipe says so."""
    network = SGOne(recipe.network)
    load_imagenet_weights(network.backbone, recipe.network.backbone, recipe.backbone_file)
    network.backbone.requires_grad_(not recipe.freeze_backbone)
    if recipe.centred_guidance:
        if (deep := network.backbone.channels[-1]) != recipe.network.guidance_channels:
            raise ConfigError(
                f"centred_guidance hands on the {deep} deepest channels; "
                f"set guidance_channels = {deep}"
            )
        for convolution in cast(GuidanceBranch, network.head).guidance_convolutions:
            convolution.requires_grad_(False)
    return network


def centre_guidance(network: SGOne, store: FeatureStore, episodes: Sequence[EpisodeViews]) -> None:
    """Take the mean of the deepest features from the supports of these episodes."""
    deepest = store.batch(episodes).supports[-1]
    cast(GuidanceBranch, network.head).centre(deepest.float().mean((0, 2, 3)))
