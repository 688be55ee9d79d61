"""The paper's ablations: each changes one thing, trains, and is kept in a checkpoint."""

import dataclasses
import tomllib
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

import model
from model.checkpoint import Card, load_checkpoint, save_checkpoint
from model.datasets.folder import image_folder
from model.datasets.sampling import (
    EpisodeSampler,
    EpisodeViews,
    EpisodicDataset,
    View,
    ViewLoader,
    collate,
)
from model.network.guidance import distance_map
from model.network.pretrained import load_imagenet_weights
from model.network.sgone import SGOne, SGOneConfig
from model.training.features import FeatureStore
from model.training.objective import EpisodeLoss, build_optimiser
from model.training.recipe import Optimiser, read_recipe
from model.transforms import TransformConfig
from networks import build_tiny_network
from trees import write_folder

ABLATIONS = {
    "mask-image": {"support_mask": "image"},
    "mask-channels": {"support_mask": "channels"},
    "mask-none": {"support_mask": "none"},
    "similarity-l2": {"similarity": "l2"},
    "guidance-relu": {"guidance_relu": True},
    "no-segmentation-branch": {"segmentation_branch": False},
    "no-concatenation": {"concatenate": False},
    "separate-networks": {"separate_networks": True},
}
EVERY = pytest.mark.parametrize("name", ABLATIONS)
CONFIGS = Path(model.__file__).parent / "configs"
RECIPES = CONFIGS / "ablations"
# Frozen, input channels of masks would stay zero, and two backbones the same.
LEARNING = ("backbone-learns", "mask-channels", "separate-networks")
SIDE = 65


def build(**fields):
    """The tiny network with other fields: what both have in common has the same weights.

    The weights of mask channels, zero in a fresh network, are as if they had learned.
    """
    plain = build_tiny_network()
    network = SGOne(dataclasses.replace(plain.config, **fields))
    shapes = {name: weight.shape for name, weight in network.state_dict().items()}
    common = {
        name: weight
        for name, weight in plain.state_dict().items()
        if shapes.get(name) == weight.shape
    }
    network.load_state_dict(common, strict=False)
    for name, weight in network.named_parameters():
        if ".masks." in name:
            torch.nn.init.normal_(weight)
    return network.eval()


def episode():
    """A query, one support, and a mask of its upper left quarter."""
    generator = torch.Generator().manual_seed(1)
    query, image = torch.randn(2, 1, 3, SIDE, SIDE, generator=generator)
    mask = torch.zeros(1, 1, SIDE, SIDE)
    mask[..., : SIDE // 2, : SIDE // 2] = 1
    return query, image[None], mask


def alike(one, other):
    return torch.allclose(one, other, atol=1e-6)


@EVERY
@torch.no_grad()
def test_an_ablation_computes_something_else_than_the_paper(name):
    assert not alike(build(**ABLATIONS[name])(*episode()), build_tiny_network()(*episode()))


@pytest.mark.parametrize(
    ("support_mask", "sees"),
    [("pooling", True), ("image", False), ("channels", True), ("none", True)],
)
@torch.no_grad()
def test_only_a_masked_image_hides_the_background_from_the_network(support_mask, sees):
    network = build(support_mask=support_mask)
    query, image, mask = episode()
    repainted = torch.where(mask[:, :, None] > 0, image, -image)
    same = alike(network(query, repainted, mask), network(query, image, mask))
    assert same is not sees


@pytest.mark.parametrize(
    ("support_mask", "sees"),
    [("pooling", True), ("image", True), ("channels", True), ("none", False)],
)
@torch.no_grad()
def test_only_without_a_mask_does_the_mask_not_matter(support_mask, sees):
    network = build(support_mask=support_mask)
    query, image, mask = episode()
    same = alike(network(query, image, 1 - mask), network(query, image, mask))
    assert same is not sees


@torch.no_grad()
def test_mask_channels_start_as_no_mask_and_leave_the_query_alone():
    query, image, mask = episode()
    network = build(support_mask="channels")
    before = network.backbone(query)
    for name, weight in network.named_parameters():
        if ".masks." in name:
            torch.nn.init.zeros_(weight)
    assert all(torch.equal(*maps) for maps in zip(network.backbone(query), before, strict=True))
    assert alike(network(query, image, mask), build(support_mask="none")(query, image, mask))


def test_the_distance_map_is_minus_the_euclidean_distance():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, 16, 4, 5, generator=generator)
    prototypes = torch.stack([features[:, :, 1, 2], torch.randn(2, 16, generator=generator)], 1)
    distances = distance_map(features, prototypes)
    difference = features[:, None] - prototypes[..., None, None]
    assert torch.allclose(distances, -difference.norm(dim=2), atol=1e-5)
    assert torch.allclose(distances[:, 0, 1, 2], torch.zeros(2), atol=1e-3)


@torch.no_grad()
def test_a_relu_leaves_no_negative_similarity():
    query, image, mask = episode()
    for relu in (False, True):
        network = build(guidance_relu=relu)
        guidance = network.head.guide(network.backbone(query), network.encode_support(image, mask))
        assert (guidance.min() < 0) is not relu


@torch.no_grad()
def test_separate_networks_with_the_same_weights_are_one_network():
    network = build(separate_networks=True)
    network.backbone.support.load_state_dict(build_tiny_network().backbone.state_dict())
    network.head.support_guidance.load_state_dict(network.head.guidance.state_dict())
    assert torch.equal(network(*episode()), build_tiny_network()(*episode()))


@pytest.mark.parametrize(
    ("fields", "parameters"),
    [
        ({}, 18_992_194),
        ({"support_mask": "channels"}, 18_992_194 + 64 * 2 * 9),
        ({"segmentation_branch": False}, 14_714_688 + 2_359_808 + 4),
        ({"concatenate": False}, 18_992_194 - 128 * (512 + 512) * 9),
        ({"separate_networks": True}, 36_066_690),  # the paper: 36.1M
    ],
)
def test_parameters_are_counted_as_in_the_paper(fields, parameters):
    with torch.device("meta"):
        network = SGOne(SGOneConfig(**fields))
    assert sum(weight.numel() for weight in network.parameters()) == parameters


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"segmentation_branch": False, "concatenate": False}, "concatenate = false takes"),
        ({"segmentation_branch": False, "exit_padding": 1}, "exit_padding = 1 pads"),
        ({"support_mask": "crop"}, "'pooling', 'image', 'channels' or 'none'"),
        ({"similarity": "dot"}, "'cosine' or 'l2'"),
    ],
)
def test_an_impossible_combination_is_refused_in_a_sentence(fields, message):
    with pytest.raises(ValidationError, match=message):
        SGOneConfig(**fields)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    return image_folder(write_folder(tmp_path_factory.mktemp("photographs")))


def batches(network, photographs):
    """The same episodes as images, and as features of a store."""
    loader, sampler = (
        ViewLoader(photographs, SIDE),
        EpisodeSampler(photographs, (0, 1), 2, 0, "class"),
    )
    dataset = EpisodicDataset(loader, sampler)
    yield collate([dataset[index] for index in range(2)])
    store = make_store(network, loader)
    yield store.batch([sampler.episode(index) for index in range(2)])


def make_store(network, loader):
    return FeatureStore(
        network.backbone, loader, TransformConfig(), torch.device("cpu"), torch.float32
    )


@EVERY
def test_a_store_of_features_changes_neither_the_loss_nor_the_step(name, photographs):
    network = build(**ABLATIONS[name])
    network.backbone.requires_grad_(False)
    loss = EpisodeLoss(network, TransformConfig(), torch.device("cpu"))
    gradients = []
    for batch in batches(network, photographs):
        network.zero_grad()
        loss(batch).backward()
        weights = [weight for weight in network.parameters() if weight.requires_grad]
        gradients.append(torch.cat([weight.grad.flatten() for weight in weights]))
    assert torch.allclose(*gradients, atol=1e-5, rtol=1e-3)
    assert all(weight.grad.abs().sum() > 0 for weight in weights)


@EVERY
def test_a_step_lowers_the_loss_of_a_network_that_learns_as_a_whole(name, photographs):
    network = build(**ABLATIONS[name])
    loss = EpisodeLoss(network, TransformConfig(), torch.device("cpu"))
    batch = next(batches(network, photographs))
    optimiser = torch.optim.SGD(network.parameters(), lr=1e-4)
    before = loss(batch)
    before.backward()
    optimiser.step()
    assert all(weight.grad is not None for weight in network.parameters())
    assert loss(batch) < before


@pytest.mark.parametrize(("name", "images"), [("similarity-l2", 2), ("mask-image", 4)])
def test_a_store_reads_an_image_twice_only_where_supports_are_read_apart(name, images, photographs):
    store = make_store(build(**ABLATIONS[name]), ViewLoader(photographs, SIDE))
    read = []
    store.backbone.layers[0].register_forward_hook(lambda *call: read.append(len(call[1][0])))
    one, other = (View(sample, 0, 0) for sample in photographs.members(0)[:2])
    for _ in range(2):
        store.batch([EpisodeViews(one, (other,)), EpisodeViews(other, (one,))])
    assert sum(read) == images


@EVERY
@torch.no_grad()
def test_an_ablation_is_the_same_after_its_checkpoint_is_loaded(name, tmp_path):
    network = build(**ABLATIONS[name])
    card = Card(name, (), "noise", 0, {}, "2026-01-01", "none", "")
    path = tmp_path / "ablation.safetensors"
    save_checkpoint(path, network, TransformConfig(), card, "float32")
    loaded = load_checkpoint(path).network.eval()
    assert loaded.config == network.config
    assert torch.equal(loaded(*episode()), network(*episode()))


def test_imagenet_weights_reach_both_backbones_and_leave_mask_channels_alone(tmp_path):
    from safetensors.torch import save_file

    plain = build_tiny_network().backbone.state_dict()
    file = tmp_path / "imagenet.safetensors"
    save_file({f"features.{key.split('.', 1)[1]}": value for key, value in plain.items()}, file)
    backbone = build(separate_networks=True, support_mask="channels").backbone
    load_imagenet_weights(backbone, "mobilenet_v2", file)
    queries, supports = backbone.state_dict(), backbone.support.state_dict()
    assert all(torch.equal(queries[key], value) for key, value in plain.items())
    assert all(torch.equal(supports[key], value) for key, value in plain.items())
    assert supports["layers.0.0.masks.weight"].abs().sum() > 0


def test_the_reference_is_the_best_recipe_made_cheaper():
    best, recipe = read_recipe(CONFIGS / "vgg16.toml"), read_recipe(RECIPES / "reference.toml")
    schedule = recipe.schedule
    cheaper = dataclasses.replace(
        best.schedule,
        side=schedule.side,
        steps=schedule.steps,
        evaluate_every=schedule.evaluate_every,
    )
    assert schedule == cheaper and schedule.side < best.schedule.side
    assert recipe == dataclasses.replace(
        best, name=recipe.name, transform=TransformConfig(schedule.side), schedule=schedule
    )


@pytest.mark.parametrize("name", ["backbone-learns", *ABLATIONS])
def test_a_recipe_changes_the_reference_in_its_fields_alone(name):
    reference = read_recipe(RECIPES / "reference.toml")
    recipe = read_recipe(RECIPES / f"{name}.toml")
    assert reference.network == SGOneConfig(align_corners=True)
    assert f"model/configs/ablations/{name}.toml" in (RECIPES / f"{name}.toml").read_text(
        encoding="utf-8"
    )
    optimiser = reference.optimiser
    if name == "no-segmentation-branch":  # four weights, which need larger steps
        optimiser = dataclasses.replace(optimiser, learning_rate=3e-2)
    changed = dataclasses.replace(
        reference,
        optimiser=optimiser,
        name=f"sgone-ablation-{name}",
        network=SGOneConfig(align_corners=True, **ABLATIONS.get(name, {})),
        freeze_backbone=name not in LEARNING,
        centred_guidance=name not in LEARNING,
    )
    assert recipe == changed


def test_every_recipe_of_an_ablation_is_packaged_and_tested():
    assert {path.stem for path in RECIPES.glob("*.toml")} == {
        "backbone-learns",
        "reference",
        *ABLATIONS,
    }
    project = tomllib.loads((RECIPES.parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["tool"]["setuptools"]["package-data"]["model"] == ["configs/**/*.toml"]


def test_a_backbone_learns_at_its_share_of_the_rate():
    network = build()
    optimiser = build_optimiser(Optimiser(learning_rate=1e-3, backbone_share=0.1), network)
    backbone = {id(weight) for weight in network.backbone.parameters()}
    shares = {
        id(weight): group["share"] for group in optimiser.param_groups for weight in group["params"]
    }
    assert shares == {
        id(weight): 0.1 if id(weight) in backbone else 1.0 for weight in network.parameters()
    }
