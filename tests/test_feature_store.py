"""Features that are kept in a folder come back as they were."""

import torch
from torch import nn

from model.datasets.folder import image_folder
from model.datasets.sampling import EpisodeSampler, ViewLoader
from model.training.features import FeatureStore
from model.transforms import TransformConfig
from trees import write_folder

SIDE = 33


class ManyTaps(nn.Module):
    """A dozen maps that differ in width, as two backbones beside each other have them."""

    reads_apart = False

    def forward(self, images):
        cells = images.mean(dim=1, keepdim=True)
        return tuple(cells.repeat(1, width, 1, 1) * width for width in range(1, 13))


def test_maps_of_more_than_ten_taps_come_back_in_their_order(tmp_path):
    photographs = image_folder(write_folder(tmp_path / "photographs"))
    loader = ViewLoader(photographs, SIDE)
    sampler = EpisodeSampler(photographs, (0, 1), 1, 0, "class")
    episodes = [sampler.episode(index) for index in range(2)]
    computed, read_back = (
        FeatureStore(
            ManyTaps(),
            loader,
            TransformConfig(),
            torch.device("cpu"),
            torch.float32,
            folder=tmp_path / "features",
        ).batch(episodes)
        for _ in range(2)
    )
    for before, after in zip(computed.query, read_back.query, strict=True):
        assert torch.equal(before, after)
