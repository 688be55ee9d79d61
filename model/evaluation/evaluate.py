"""Few-shot evaluation: SG-One's experiments on seeded lists of episodes."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from model.checkpoint import load_checkpoint, write_atomically
from model.data.pascal import CLASSES
from model.errors import ConfigError
from model.evaluation.bench import Bench, Photographs, Plan, open_photographs
from model.evaluation.protocols import PROTOCOLS
from model.evaluation.report import format_report
from model.evaluation.tables import FOLDS, SHOTS, tables


def main(
    plan: Plan,
    checkpoints: Sequence[Path],
    data: Path,
    list_file: Path | None = None,
    fold: int | None = None,
    multiclass: bool = False,
    json_path: Path | None = None,
    table: Path | None = None,
    pictures: Path | None = None,
) -> None:
    """``sgone evaluate``: print the scores, and write them and their pictures where asked.

    A plan without seeds takes the protocol's own. ConfigError where options do not fit together.
    """
    if not plan.seeds:
        plan = dataclasses.replace(plan, seeds=(PROTOCOLS[plan.protocol].default_seed,))
    if pictures and multiclass:
        raise ConfigError("--pictures shows one class at a time; leave --multiclass out")
    if table:
        if fold is not None or multiclass or pictures:
            raise ConfigError(
                "--table measures every fold; leave --fold, --multiclass and --pictures out"
            )
        photographs = open_photographs(data, list_file)
        _write_tables(plan, checkpoints, photographs, table, json_path)
        return
    checkpoint = load_checkpoint(_single(checkpoints, fold))
    bench = Bench(checkpoint, open_photographs(data, list_file), fold, plan)
    report = _multiclass(bench, plan) if multiclass else _episodes(bench, plan, pictures)
    print(format_report(report))
    if json_path:
        write_atomically(json_path, json.dumps(report, indent=2).encode())


def _multiclass(bench: Bench, plan: Plan) -> dict[str, Any]:
    return bench.report(plan, [bench.measure_multiclass(plan, seed) for seed in plan.seeds])


def _episodes(bench: Bench, plan: Plan, pictures: Path | None) -> dict[str, Any]:
    """Scores of all seeds, and pictures of the first one's episodes."""
    measured = [bench.measure(plan, seed) for seed in plan.seeds]
    report = bench.report(plan, [measurement.meter.scores() for measurement in measured])
    if pictures:
        try:
            from model.evaluation.showcase import show
        except ModuleNotFoundError as error:
            raise ConfigError(
                "pictures need matplotlib: pip install 'sg-one-service[train]'"
            ) from error
        show(bench.gallery, bench.predictor(plan), measured[0], report, pictures)
    return report


def _write_tables(
    plan: Plan,
    checkpoints: Sequence[Path],
    photographs: Photographs,
    path: Path,
    json_path: Path | None,
) -> None:
    """The paper's Tables 2 to 4 as Markdown, and every report in them as JSON, else beside it.

    All checkpoints are read before the first is measured: a bad one is told at once.
    """
    if photographs.dataset.classes != CLASSES:
        raise ConfigError(f"{photographs.name} is not PASCAL VOC, which SG-One's tables are of")
    loaded = [load_checkpoint(path) for path in _one_for_each_fold(checkpoints)]
    reports = []
    for fold, checkpoint in zip(FOLDS, loaded, strict=True):
        bench = Bench(checkpoint, photographs, fold, plan)
        for shots in SHOTS:
            reports.append(_episodes(bench, dataclasses.replace(plan, shots=shots), None))
            print(format_report(reports[-1]), end="\n\n", flush=True)
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
