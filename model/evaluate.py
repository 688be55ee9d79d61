"""Few-shot evaluation: mIoU and FB-IoU on a seeded list of episodes."""

import dataclasses
import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from model.checkpoint import load_checkpoint, write_atomically
from model.datasets.folder import image_folder
from model.datasets.listing import SegmentationDataset
from model.datasets.pascal import fold_classes, pascal_voc
from model.errors import ConfigError
from model.features import FeatureBatch, FeatureStore
from model.guidance import Fusion
from model.metrics import IoUMeter, Scores
from model.network import SGOne
from model.predictor import choose_device, choose_precision
from model.sampling import Balance, EpisodeSampler, EpisodeViews, ViewLoader


@dataclass(frozen=True)
class Protocol:
    """HSNet's: every image at one square size, labels nearest-resized, void ignored."""

    side: int = 257
    shots: int = 1
    fusion: Fusion = "average"
    episodes: int = 1000
    balance: Balance = "sample"


PROTOCOLS = ("hsnet",)
BATCH_SIZE = 8


def main(
    checkpoint: Path,
    data: Path,
    list_file: Path | None = None,
    fold: int | None = None,
    shots: int = 1,
    fusion: Fusion = "average",
    protocol: str = "hsnet",
    episodes: int = 1000,
    seeds: Sequence[int] = (0,),
    json_path: Path | None = None,
    device: str = "auto",
    precision: str = "auto",
) -> None:
    """``sgone evaluate``: print the scores of every seed, and write them as JSON if asked."""
    if protocol not in PROTOCOLS:
        raise ConfigError(f"protocol {protocol!r} is unknown; choose {' or '.join(PROTOCOLS)}")
    loaded = load_checkpoint(checkpoint)
    dataset = _open(data, list_file)
    class_ids = tuple(range(len(dataset.classes))) if fold is None else fold_classes(fold)
    settings = Protocol(loaded.transform.longest_side, shots, fusion, episodes)
    place = choose_device(device)
    dtype = choose_precision(precision, place)
    network = loaded.network.eval().to(place, dtype).to(memory_format=torch.channels_last)
    loader = ViewLoader(dataset, settings.side)
    store = FeatureStore(network.backbone, loader, loaded.transform, place, dtype)
    scores = []
    for seed in seeds:
        drawn = draw_episodes(dataset, class_ids, settings, seed)
        scores.append(score_episodes(network, store, drawn, settings.fusion, f"seed {seed}"))
    report = {
        "checkpoint": checkpoint.name,
        "sha256": loaded.sha256,
        "classes_seen_in_training": sorted(
            {dataset.classes[i] for i in class_ids} & set(loaded.card.classes)
        ),
        "data": list_file.name if list_file else data.name,
        "images": len(dataset.samples),
        "fold": fold,
        "protocol": {"name": protocol, **dataclasses.asdict(settings)},
        "seeds": list(seeds),
        "device": place.type,
        "precision": str(dtype).removeprefix("torch."),
        **summarise(scores, dataset.classes),
    }
    print(format_report(report))
    if json_path:
        write_atomically(json_path, json.dumps(report, indent=2).encode())


def summarise(scores: Sequence[Scores], classes: Sequence[str]) -> dict[str, Any]:
    """Means over seeds, in percent, with the standard deviation where there are two or more."""

    def spread(values: Sequence[float]) -> dict[str, float]:
        mean = {"mean": statistics.fmean(values)}
        return mean | ({"std": statistics.stdev(values)} if len(values) > 1 else {})

    class_ids = sorted({class_id for score in scores for class_id in score.class_iou})
    return {
        "miou": spread([score.miou for score in scores]),
        "fb_iou": spread([score.fb_iou for score in scores]),
        "class_iou": {
            classes[i]: spread([score.class_iou[i] for score in scores if i in score.class_iou])
            for i in class_ids
        },
    }


def format_report(report: dict[str, Any]) -> str:
    """The report as lines for a terminal."""

    def percent(value: dict[str, float]) -> str:
        return f"{value['mean']:5.1f}" + (f" ± {value['std']:.1f}" if "std" in value else "")

    lines = [f"{name:>14} {percent(value)}" for name, value in report["class_iou"].items()]
    lines += [
        f"{'mIoU':>14} {percent(report['miou'])}",
        f"{'FB-IoU':>14} {percent(report['fb_iou'])}",
    ]
    seen = report["classes_seen_in_training"]
    protocol = report["protocol"]
    lines.append(
        f"{protocol['name']} protocol, {protocol['episodes']} {protocol['shots']}-shot episodes, "
        f"seeds {report['seeds']}, {report['data']} ({report['images']} images), "
        f"checkpoint {report['sha256'][:12]}, {report['precision']} on {report['device']}"
    )
    lines.append(
        f"Seen in training, so no figure on unseen classes: {', '.join(seen)}"
        if seen
        else "None of these classes was seen in training."
    )
    return "\n".join(lines)


def _open(data: Path, list_file: Path | None) -> SegmentationDataset:
    """A VOC folder where there is ``JPEGImages``, else a plain folder of classes."""
    if (data / "JPEGImages").is_dir():
        return pascal_voc(data, list_file or data / "lists" / "val.txt")
    return image_folder(data)


def draw_episodes(
    dataset: SegmentationDataset, class_ids: Sequence[int], protocol: Protocol, seed: int
) -> list[EpisodeViews]:
    """The protocol's episodes for one seed, in order."""
    sampler = EpisodeSampler(dataset, class_ids, protocol.shots, seed, protocol.balance)
    return [sampler.episode(index) for index in range(protocol.episodes)]


@torch.inference_mode()
def score_episodes(
    network: SGOne,
    store: FeatureStore,
    episodes: Sequence[EpisodeViews],
    fusion: Fusion,
    description: str,
) -> Scores:
    """Segment every episode's query and score it."""
    meter = IoUMeter(sorted({episode.query.class_id for episode in episodes}))
    batches = [episodes[i : i + BATCH_SIZE] for i in range(0, len(episodes), BATCH_SIZE)]
    for views in tqdm(batches, desc=description, leave=False):
        batch = store.batch(views)
        meter.update(predict_masks(network, batch, fusion), batch.query_labels, batch.class_ids)
    return meter.scores()


@torch.inference_mode()
def predict_masks(network: SGOne, batch: FeatureBatch, fusion: Fusion) -> Tensor:
    """(B, H, W) bool masks of a batch of episodes."""
    height, width = batch.query_labels.shape[-2:]
    prototypes = network.pool_support(batch.supports, batch.support_masks)
    logits = network.segment_features(batch.query, (height, width), prototypes, fusion)
    return logits[:, 1] > logits[:, 0]
