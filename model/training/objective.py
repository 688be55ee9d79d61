"""What training minimises, and how its optimiser is built."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.datasets.sampling import EpisodeBatch
from model.episode import VOID
from model.network.backbone import normalise
from model.network.sgone import SGOne
from model.training.features import FeatureBatch
from model.training.recipe import Optimiser
from model.transforms import TransformConfig


class EpisodeLoss(nn.Module):
    """Cross-entropy of the query's mask, void left out (SG-One section 3.3), and what is beside it.

    The recipe may add each object's soft IoU, and the cross-entropy of its presence.

    A module, so that ``DistributedDataParallel`` can wrap it. It takes images where the backbone
    learns, and the features of a FeatureStore where it does not.
    """

    def __init__(
        self,
        network: SGOne,
        transform: TransformConfig,
        device: torch.device,
        settings: Optimiser = Optimiser(),  # noqa: B008 - frozen
    ) -> None:
        super().__init__()
        self.network, self.transform, self.device = network, transform, device
        self.settings = settings
        self.class_weights = torch.tensor([1.0, settings.object_weight], device=device)

    def forward(self, batch: EpisodeBatch | FeatureBatch) -> Tensor:
        """-> the mean loss over all labelled pixels of the batch."""
        if isinstance(batch, EpisodeBatch):
            batch = self._encode(batch)
        height, width = batch.query_labels.shape[-2:]
        encoding = self.network.encode_features(batch.supports, batch.support_masks)
        logits, presence = self.network.find_features(batch.query, (height, width), encoding)
        loss = F.cross_entropy(
            logits, batch.query_labels.long(), weight=self.class_weights, ignore_index=VOID
        )
        if self.settings.overlap_weight:
            loss = loss + self.settings.overlap_weight * overlap_loss(logits, batch.query_labels)
        if self.settings.presence_weight:
            shown = (batch.query_labels == 1).flatten(1).any(dim=1).to(presence.dtype)
            told = F.binary_cross_entropy_with_logits(presence, shown)
            loss = loss + self.settings.presence_weight * told
        return loss

    def _encode(self, batch: EpisodeBatch) -> FeatureBatch:
        backbone = self.network.backbone
        images, query, masks, labels = (
            part.to(self.device)
            for part in (
                batch.support_images.flatten(0, 1),
                batch.query_images,
                batch.support_masks,
                batch.query_labels,
            )
        )
        return FeatureBatch(
            backbone.read_supports(normalise(images, self.transform), masks.flatten(0, 1)),
            masks,
            backbone(normalise(query, self.transform)),
            labels,
            batch.class_ids,
        )


def overlap_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """(B, 2, H, W) logits, (B, H, W) labels -> 1 - the soft IoU, mean over items with an object.

    Each item counts as much, however small its object; zero where no item has one.
    """
    probability = (logits[:, 1] - logits[:, 0]).float().sigmoid()
    valid, object_ = (labels != VOID).float(), (labels == 1).float()
    intersection = (probability * object_).sum(dim=(1, 2))
    union = ((probability + object_ - probability * object_) * valid).sum(dim=(1, 2))
    shown = object_.flatten(1).any(dim=1).float()
    lost = (1 - intersection / union.clamp(min=1e-6)) * shown
    return lost.sum() / shown.sum().clamp(min=1)


def build_optimiser(settings: Optimiser, network: SGOne) -> torch.optim.Optimizer:
    """The recipe's optimiser over the weights that learn.

    Each of its groups has a ``share``: its learning rate as a share of the recipe's.
    """
    groups = [
        {"params": [weight for weight in part.parameters() if weight.requires_grad], "share": share}
        for part, share in ((network.head, 1.0), (network.backbone, settings.backbone_share))
    ]
    if settings.kind == "adamw":
        return torch.optim.AdamW(
            groups, lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
    return torch.optim.SGD(
        groups,
        lr=settings.learning_rate,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
    )


def learning_rate(settings: Optimiser, step: int, steps: int) -> float:
    """Polynomial decay to zero at the end of the schedule."""
    return float(settings.learning_rate * (1 - step / steps) ** settings.power)
