"""``sgone evaluate``: open a checkpoint and a data set, draw episodes, score them, report."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from model.checkpoint import load_checkpoint, write_atomically
from model.datasets.pascal import CLASSES
from model.decision import Decision
from model.errors import ConfigError
from model.evaluation.baselines import BASELINES
from model.evaluation.bench import Bench, Experiment, NamedDataset, open_bench, open_data
from model.evaluation.extras import need_pictures
from model.evaluation.presence import Finder, draw_absent, score_presence
from model.evaluation.protocols import PROTOCOLS, EpisodeDraw, draw_multiclass
from model.evaluation.published import FOLDS, SHOTS, tables
from model.evaluation.report import build_report, format_report, summarise_presence
from model.evaluation.scoring import (
    Masking,
    Method,
    ScoredEpisodes,
    network_finder,
    network_method,
    score_multiclass,
    score_one_class,
)
from model.executors.protocol import Sighting
from model.images.masks import MaskFormat


def main(
    experiment: Experiment,
    checkpoints: Sequence[Path],
    data: Path,
    list_file: Path | None = None,
    fold: int | None = None,
    json_path: Path | None = None,
    table: Path | None = None,
    pictures: Path | None = None,
    mask_format: MaskFormat | None = None,
    curve: tuple[int, ...] = (),
) -> None:
    """Print the scores, and write them and their pictures where asked.

    An experiment without seeds takes the protocol's own. With several numbers of shots in
    ``curve`` each is measured. ConfigError where options do not fit together.
    """
    if not experiment.seeds:
        seed = PROTOCOLS[experiment.protocol].default_seed
        experiment = dataclasses.replace(experiment, seeds=(seed,))
    _check(experiment, fold, table, pictures, curve)
    if table:
        _write_tables(
            experiment, checkpoints, open_data(data, list_file, mask_format), table, json_path
        )
        return
    checkpoint = load_checkpoint(_single(checkpoints, fold))
    experiment = dataclasses.replace(experiment, shots=max(curve, default=experiment.shots))
    bench = open_bench(checkpoint, open_data(data, list_file, mask_format), fold, experiment)
    report: dict[str, Any] | list[dict[str, Any]]
    if len(curve) > 1:
        report = _measure_curve(bench, experiment, curve, pictures)
    elif experiment.multiclass:
        report = _told(measure_multiclass(bench, experiment))
    else:
        measured, rounds = measure(bench, experiment)
        report = _told(measured)
        if pictures:
            _draw_pictures(bench, experiment, rounds[0], report, pictures)
    if json_path:
        write_atomically(json_path, json.dumps(report, indent=2).encode())


def _check(
    experiment: Experiment,
    fold: int | None,
    table: Path | None,
    pictures: Path | None,
    curve: Sequence[int],
) -> None:
    """ConfigError where options do not fit together, or pictures cannot be drawn."""
    if pictures:
        need_pictures()
    if experiment.presence and (experiment.multiclass or experiment.baseline):
        raise ConfigError("--presence is of the network and of one class at a time")
    if pictures and experiment.multiclass:
        raise ConfigError("--pictures shows one class at a time; leave --multiclass out")
    if table and (fold is not None or experiment.multiclass or pictures):
        raise ConfigError(
            "--table measures every fold; leave --fold, --multiclass and --pictures out"
        )
    if len(curve) > 1 and (table or experiment.multiclass):
        raise ConfigError(
            "several --shots are measured for one class at a time; leave --table and "
            "--multiclass out"
        )


def _told(report: dict[str, Any]) -> dict[str, Any]:
    """The report, once people have seen it."""
    print(format_report(report), end="\n\n", flush=True)
    return report


def _measure_curve(
    bench: Bench, experiment: Experiment, shots: Sequence[int], pictures: Path | None
) -> list[dict[str, Any]]:
    """A report for each number of shots, of the same queries, and their curve as a picture."""
    reports = [
        _told(measure(bench, dataclasses.replace(experiment, shots=count))[0])
        for count in sorted(set(shots))
    ]
    if pictures:
        from model.evaluation.showcase import draw_shots

        draw_shots(reports, pictures / "shots.png")
    return reports


def measure(bench: Bench, experiment: Experiment) -> tuple[dict[str, Any], list[ScoredEpisodes]]:
    """One class in each query -> the report, and the episodes of each seed."""
    gallery, predict = bench.gallery, _method(bench, experiment)
    masking = _masking(bench, experiment)
    rounds = []
    for seed in experiment.seeds:
        wanted = EpisodeDraw(bench.class_ids, experiment.shots, experiment.episodes, seed)
        episodes = gallery.protocol.draw(gallery.dataset, wanted)
        meter = score_one_class(predict, gallery, episodes, f"seed {seed}", masking)
        rounds.append(ScoredEpisodes(episodes, meter))
    report = build_report(bench, experiment, [meter.scores() for _, meter in rounds])
    if experiment.presence:
        report["presence"] = _presence(bench, experiment, rounds)
    return report, rounds


def _masking(bench: Bench, experiment: Experiment) -> Masking:
    """The checkpoint's threshold; a baseline's is its own."""
    if experiment.baseline:
        return Masking(refined=experiment.refined)
    return Masking(bench.checkpoint.decision.object_threshold, experiment.refined)


def _presence(
    bench: Bench, experiment: Experiment, rounds: Sequence[ScoredEpisodes]
) -> dict[str, Any]:
    """Each seed's episodes beside as many whose query does not show the class."""
    find = network_finder(bench.gallery.executor, experiment.fusion)
    decision = bench.checkpoint.decision
    scores = []
    for seed, (episodes, _) in zip(experiment.seeds, rounds, strict=True):
        absent = draw_absent(bench.gallery.dataset, episodes, seed)
        scores.append(score_presence(find, bench.gallery, episodes, absent, decision))
    return summarise_presence(scores, decision)


def measure_multiclass(bench: Bench, experiment: Experiment) -> dict[str, Any]:
    """Every class of the fold in each query -> the report."""
    gallery, class_ids = bench.gallery, bench.class_ids
    find, decision = _finder(bench, experiment)
    scores = []
    for seed in experiment.seeds:
        episodes = draw_multiclass(
            gallery.dataset, class_ids, experiment.shots, experiment.episodes, seed
        )
        told, refined = f"seed {seed}", experiment.refined
        meter = score_multiclass(find, gallery, class_ids, episodes, told, decision, refined)
        scores.append(meter.scores())
    return build_report(bench, experiment, scores)


def _finder(bench: Bench, experiment: Experiment) -> tuple[Finder, Decision]:
    """The network with its own thresholds; a baseline has none, and says nothing of presence."""
    if experiment.baseline is None:
        find = network_finder(bench.gallery.executor, experiment.fusion)
        return find, bench.checkpoint.decision
    predict = BASELINES[experiment.baseline]
    return lambda query, supports: Sighting(predict(query, supports), 1.0), Decision()


def _method(bench: Bench, experiment: Experiment) -> Method:
    if experiment.baseline:
        return BASELINES[experiment.baseline]
    return network_method(bench.gallery.executor, experiment.fusion)


def _draw_pictures(
    bench: Bench,
    experiment: Experiment,
    scored: ScoredEpisodes,
    report: dict[str, Any],
    folder: Path,
) -> None:
    from model.evaluation.showcase import show

    show(bench.gallery, _method(bench, experiment), scored, report, folder)


def _write_tables(
    experiment: Experiment,
    checkpoints: Sequence[Path],
    data: NamedDataset,
    path: Path,
    json_path: Path | None,
) -> None:
    """The paper's Tables 2 to 4 as Markdown, and every report in them as JSON, else beside it.

    All checkpoints are read before the first is measured: a bad one is told at once.
    """
    if data.dataset.classes != CLASSES:
        raise ConfigError(f"{data.name} is not PASCAL VOC, which SG-One's tables are of")
    loaded = [load_checkpoint(path) for path in _one_for_each_fold(checkpoints)]
    reports = []
    for fold, checkpoint in zip(FOLDS, loaded, strict=True):
        bench = open_bench(checkpoint, data, fold, experiment)
        for shots in SHOTS:
            report, _ = measure(bench, dataclasses.replace(experiment, shots=shots))
            reports.append(_told(report))
    write_atomically(path, tables(reports).encode())
    write_atomically(json_path or path.with_suffix(".json"), json.dumps(reports, indent=2).encode())


def _single(checkpoints: Sequence[Path], fold: int | None) -> Path:
    """The one checkpoint that is named, ``{fold}`` in it replaced."""
    if len(checkpoints) != 1:
        raise ConfigError(f"{len(checkpoints)} checkpoints are named; name one, or ask for --table")
    if fold is None and "{fold}" in str(checkpoints[0]):
        raise ConfigError(f"{checkpoints[0]} stands for four files; choose one with --fold")
    return _of_fold(checkpoints[0], fold)


def _one_for_each_fold(checkpoints: Sequence[Path]) -> list[Path]:
    """Four as they are named, or one name with ``{fold}`` in it."""
    if len(checkpoints) == 1 and "{fold}" in str(checkpoints[0]):
        return [_of_fold(checkpoints[0], fold) for fold in FOLDS]
    if len(checkpoints) != len(FOLDS):
        raise ConfigError(
            f"--table needs a checkpoint for each fold, and {len(checkpoints)} are named; "
            "name four in the order of folds, or one with {fold} in its name"
        )
    return list(checkpoints)


def _of_fold(checkpoint: Path, fold: int | None) -> Path:
    return Path(str(checkpoint).replace("{fold}", str(fold)))
