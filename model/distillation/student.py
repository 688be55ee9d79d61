"""The student of a distillation: a VGG-16 that learns, and how it imitates the teacher."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from model.distillation.teacher import BLOCKS, Lesson
from model.errors import CheckpointError
from model.network.backbone import Backbone, Features, vgg16
from model.network.weights import read_weights

GIVEN = (0, 2, 5, 7)
"""conv1_1 to conv2_2 in torchvision's ``vgg16().features``: genuine weights, never trained."""
MAPS = ("conv3_3", "conv4_3", "conv5_3")
"""The student's maps, from shallow to deep."""
IMITATIONS = ((0, 6), (1, 13), (2, 17), (2, 18))
"""Which of the student's maps imitates which block of the teacher."""


class Student(Backbone):
    """VGG-16 with batch normalisation behind every convolution that learns.

    CheckpointError where ``given`` does not hold conv1_1 to conv2_2 in torchvision's layout.
    """

    def __init__(self, given: Path) -> None:
        plain = vgg16()
        super().__init__(plain.layers, plain.taps, plain.channels, plain.strides)
        for index, layer in enumerate(self.layers):
            if isinstance(layer, nn.Conv2d) and index not in GIVEN:
                learns = nn.Conv2d(layer.in_channels, layer.out_channels, 3, padding=1, bias=False)
                _begin(learns.weight)
                self.layers[index] = nn.Sequential(learns, nn.BatchNorm2d(layer.out_channels))
        self._load_given(given)

    def _load_given(self, given: Path) -> None:
        try:
            source = read_weights(given)
            for index in GIVEN:
                layer = self.layers[index].requires_grad_(False)
                state = {name: source[f"features.{index}.{name}"] for name in ("weight", "bias")}
                layer.load_state_dict(state)
        except (KeyError, RuntimeError) as error:
            raise CheckpointError(
                f"{given} does not hold torchvision's VGG-16 weights of conv1_1 to conv2_2 "
                f"({error})"
            ) from error

    def train(self, mode: bool = True) -> "Student":
        """Batch normalisation learns as well, unlike a backbone's."""
        nn.Module.train(self, mode)
        return self

    def folded(self) -> dict[str, Tensor]:
        """The weights of a plain VGG-16 that computes the same, in torchvision's layout.

        Only in eval mode; names are ``features.0.weight`` to ``features.28.bias``.
        """
        state = {}
        for index, layer in enumerate(self.layers):
            if isinstance(layer, nn.Sequential):
                layer = fuse_conv_bn_eval(*layer)
            for name, tensor in layer.state_dict().items():
                state[f"features.{index}.{name}"] = tensor.contiguous()
        return state


class Imitation(nn.Module):
    """How alike student and teacher are, through throw-away 1×1 convolutions ("bridges")."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.bridges = nn.ModuleList(
            nn.Conv2d(student.channels[tap], BLOCKS[block], 1) for tap, block in IMITATIONS
        )

    def forward(self, features: Features, lesson: Lesson) -> tuple[Tensor, Tensor]:
        """-> (4,) mean cosine similarity over all cells of each pair, and the map for block 18."""
        similarities = []
        for bridge, (tap, block) in zip(self.bridges, IMITATIONS, strict=True):
            guess = bridge(features[tap]).float()
            # Sides of 8n + 1 and 16n + 1 pixels: the corner cells of both grids lie together.
            target = F.interpolate(
                lesson.maps[block], guess.shape[-2:], mode="bilinear", align_corners=True
            )
            similarities.append(F.cosine_similarity(guess, target, dim=1).mean())
        return torch.stack(similarities), guess


def _begin(weight: Tensor) -> None:
    """(O, I, 3, 3) weights that hand their input on, with noise of half He's deviation.

    After 400 s on a CPU core conv4_3's features told 19.8 % of Caltech-101 apart at 33 pixels, and
    conv5_3's 9.2 %; with He's noise alone 13.1 % and 4.1 %.
    """
    nn.init.kaiming_normal_(weight, nonlinearity="relu")
    with torch.no_grad():
        weight.mul_(0.5).add_(nn.init.dirac_(torch.empty_like(weight)))


def class_divergence(logits: Tensor, taught: Tensor, temperature: float) -> Tensor:
    """(B, 1000) logits of both -> mean KL divergence of the softened classes, times T².

    The factor keeps the gradient's size (Hinton et al. 2015).
    """
    divergence = F.kl_div(
        F.log_softmax(logits / temperature, dim=1),
        F.log_softmax(taught / temperature, dim=1),
        reduction="batchmean",
        log_target=True,
    )
    return divergence * temperature**2
