"""``sgone evaluate``: its reports, tables and pictures, on small VOC trees and a small network."""

import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from labelled import write_crowded, write_pairs
from model.checkpoint import load_checkpoint
from model.datasets.pascal import CLASSES
from model.datasets.sampling import View
from model.errors import CheckpointError, ConfigError
from model.evaluation import evaluate
from model.evaluation.bench import Experiment, open_bench, open_data
from model.evaluation.published import tables
from model.evaluation.report import spread
from model.evaluation.showcase import exemplars
from model.executors.choose import Placement
from pictures import photograph
from service.cli import main

ON_CPU = Placement("torch", "cpu", "float32")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return write_pairs(tmp_path_factory.mktemp("data") / "pairs")


@pytest.fixture(scope="module")
def crowded(tmp_path_factory):
    return write_crowded(tmp_path_factory.mktemp("data") / "crowded")


def measure(checkpoint, root, folder, *, fold=0, name="report.json", **options):
    """``sgone evaluate`` on the CPU -> its JSON report."""
    experiment = Experiment(**{"seeds": (), "episodes": 12, "placement": ON_CPU} | options)
    evaluate.main(experiment, [checkpoint], root, fold=fold, json_path=folder / name)
    return json.loads((folder / name).read_text(encoding="utf-8"))


def test_a_report_has_every_class_and_all_that_its_figures_depend_on(
    checkpoint, pairs, tmp_path, capsys
):
    report = measure(checkpoint, pairs, tmp_path, seeds=(0, 1))
    assert set(report["class_iou"]) == set(CLASSES[:5])
    means = [value["mean"] for value in report["class_iou"].values()]
    assert report["miou"]["mean"] == pytest.approx(np.mean(means), abs=0.01)
    assert len(report["fb_iou"]["values"]) == 2
    assert report["miou"]["std"] == pytest.approx(np.std(report["miou"]["values"], ddof=1))
    assert report["sha256"] == load_checkpoint(checkpoint).sha256
    assert (report["data"], report["images"], report["fold"]) == ("pairs", 10, 0)
    assert (report["protocol"]["name"], report["protocol"]["episodes"]) == ("hsnet", 12)
    assert report["classes_seen_in_training"] == []
    printed = capsys.readouterr().out
    assert "mIoU" in printed
    assert report["sha256"][:12] in printed


def test_classes_seen_in_training_are_told(checkpoint, crowded, tmp_path, capsys):
    report = measure(checkpoint, crowded, tmp_path, fold=1)
    assert report["classes_seen_in_training"] == ["cat"]
    assert "no figure on unseen classes: cat" in capsys.readouterr().out


@pytest.mark.parametrize("protocol", ["hsnet", "oslsm"])
def test_an_evaluation_repeats_exactly(checkpoint, pairs, tmp_path, protocol):
    first, again = (
        measure(checkpoint, pairs, tmp_path, protocol=protocol, name=name)
        for name in ("a.json", "b.json")
    )
    assert first == again


@pytest.mark.parametrize(("protocol", "seed"), [("hsnet", 0), ("oslsm", 1385)])
def test_the_seed_is_the_protocols_unless_one_is_named(checkpoint, pairs, tmp_path, protocol, seed):
    assert measure(checkpoint, pairs, tmp_path, protocol=protocol)["seeds"] == [seed]
    assert measure(checkpoint, pairs, tmp_path, protocol=protocol, seeds=(7,))["seeds"] == [7]


def test_several_numbers_of_shots_are_measured_and_drawn(checkpoint, crowded, tmp_path):
    options = {"seeds": (0, 1), "episodes": 4, "placement": ON_CPU}
    path, pictures = tmp_path / "curve.json", tmp_path / "pictures"
    evaluate.main(
        Experiment(**options), [checkpoint], crowded, fold=0, json_path=path, pictures=pictures,
        curve=(3, 1),
    )  # fmt: skip
    reports = json.loads(path.read_text(encoding="utf-8"))
    assert [report["protocol"]["shots"] for report in reports] == [1, 3]
    alone = measure(checkpoint, crowded, tmp_path, **options, shots=3)
    assert reports[1]["miou"] == alone["miou"]
    with Image.open(pictures / "shots.png") as picture:
        assert min(picture.size) > 300


def test_several_numbers_of_shots_do_not_go_with_tables_or_several_classes(checkpoint, pairs):
    for options in ({"multiclass": True}, {}):
        table = None if options else pairs / "tables.md"
        with pytest.raises(ConfigError, match="several --shots"):
            evaluate.main(
                Experiment((0,), **options), [checkpoint], pairs, table=table, curve=(1, 2)
            )


def test_a_multiclass_report_has_the_background_apart(checkpoint, pairs, tmp_path, capsys):
    report = measure(checkpoint, pairs, tmp_path, shots=2, episodes=5, multiclass=True)
    assert len(report["class_iou"]) == 5
    assert "background_iou" in report
    assert "multi-class" in capsys.readouterr().out


# Tables


@pytest.fixture(scope="module")
def table(checkpoint, crowded, tmp_path_factory):
    """The tables of four copies of a checkpoint -> Markdown and reports."""
    folder = tmp_path_factory.mktemp("table")
    for fold in range(4):
        shutil.copy(checkpoint, folder / f"fold{fold}.safetensors")
    experiment = Experiment((0, 1), episodes=2, placement=ON_CPU)
    named = [folder / "fold{fold}.safetensors"]
    evaluate.main(experiment, named, crowded, table=folder / "tables.md")
    return (folder / "tables.md").read_text(encoding="utf-8"), json.loads(
        (folder / "tables.json").read_text(encoding="utf-8")
    )


def test_the_tables_hold_every_fold_at_one_and_five_shots(table):
    _, reports = table
    assert [(report["fold"], report["protocol"]["shots"]) for report in reports] == [
        (fold, shots) for fold in range(4) for shots in (1, 5)
    ]
    assert [report["checkpoint"] for report in reports[::2]] == [
        f"fold{fold}.safetensors" for fold in range(4)
    ]


def test_the_tables_show_ours_beside_the_papers_and_say_that_it_is_no_benchmark(table):
    markdown, reports = table
    assert "| SG-One | 40.2 | 58.4 | 48.4 | 38.4 | 46.3 |" in markdown
    assert "| SG-One | 41.9 | 58.6 | 48.6 | 39.4 | 47.1 |" in markdown
    assert "| SG-One | 63.1 | 65.9 |" in markdown
    assert markdown.count("**SG-One (ours)**") == 3
    assert "7 images" in markdown
    assert "ours is no benchmark figure" in markdown
    assert reports[0]["sha256"] in markdown


def test_the_mean_of_folds_spreads_over_seeds(table):
    markdown, reports = table
    one_shot = [report["miou"]["values"] for report in reports[::2]]
    mean = spread([np.mean(values) for values in zip(*one_shot, strict=True)])
    row = next(line for line in markdown.splitlines() if "(ours)" in line)
    assert row.endswith(f"| {mean['mean']:.1f} ± {mean['std']:.1f} |")


def test_the_tables_say_where_test_classes_were_seen_in_training(table):
    markdown, reports = table
    assert "Ours has seen test classes in training" in markdown
    unseen = [report | {"classes_seen_in_training": []} for report in reports]
    assert "has seen test classes" not in tables(unseen)


def test_a_list_as_long_as_the_benchmarks_is_not_called_another_one(table):
    reports = [report | {"images": 1449} for report in table[1]]
    assert "no benchmark" not in tables(reports)


@pytest.mark.parametrize(
    ("count", "options", "message"),
    [
        (3, {"table": "tables.md"}, "3 are named; name four in the order of folds"),
        (4, {"table": "tables.md", "fold": 0}, "leave --fold, --multiclass and --pictures out"),
        (2, {"fold": 0}, "2 checkpoints are named; name one, or ask for --table"),
        (1, {"multiclass": True, "pictures": "pictures"}, "leave --multiclass out"),
    ],
)
def test_options_that_do_not_fit_together_are_refused(
    checkpoint, crowded, tmp_path, count, options, message
):
    paths = {key: tmp_path / value if isinstance(value, str) else value
             for key, value in options.items()}  # fmt: skip
    experiment = Experiment((0,), multiclass=paths.pop("multiclass", False))
    with pytest.raises(ConfigError, match=message):
        evaluate.main(experiment, [checkpoint] * count, crowded, **paths)


def test_a_bad_checkpoint_is_told_before_the_first_is_measured(
    checkpoint, crowded, tmp_path, capsys
):
    paths = [checkpoint, checkpoint, checkpoint, tmp_path / "nowhere.safetensors"]
    with pytest.raises(CheckpointError, match=r"nowhere\.safetensors does not exist"):
        evaluate.main(Experiment((0,)), paths, crowded, table=tmp_path / "tables.md")
    assert capsys.readouterr().out == ""


def test_a_name_that_stands_for_four_checkpoints_needs_a_fold(checkpoint, crowded, tmp_path):
    shutil.copy(checkpoint, tmp_path / "fold1.safetensors")
    with pytest.raises(ConfigError, match="choose one with --fold"):
        measure(tmp_path / "fold{fold}.safetensors", crowded, tmp_path, fold=None)
    report = measure(tmp_path / "fold{fold}.safetensors", crowded, tmp_path, fold=1)
    assert report["checkpoint"] == "fold1.safetensors"


def test_the_papers_tables_are_of_pascal_voc_alone(checkpoint, tmp_path):
    for number in range(2):
        (tmp_path / "data" / "cat").mkdir(parents=True, exist_ok=True)
        Image.fromarray(photograph()).save(tmp_path / "data" / "cat" / f"{number}.jpg")
        mask = Image.new("L", (64, 48), 255)
        mask.save(tmp_path / "data" / "cat" / f"{number}.png")
    with pytest.raises(ConfigError, match="data is not PASCAL VOC"):
        evaluate.main(
            Experiment((0,)), [checkpoint] * 4, tmp_path / "data", table=tmp_path / "t.md"
        )


# Pictures


def test_the_best_the_median_and_the_worst_episode_are_shown():
    iou = [50.0, 90.0, 10.0, 70.0, 30.0, 99.0]
    assert exemplars([0, 1, 2, 3, 4], iou) == {"best": 1, "median": 0, "worst": 2}
    assert exemplars([5], iou) == {"best": 5, "median": 5, "worst": 5}


def test_pictures_of_every_class_and_of_all_of_them_are_drawn(checkpoint, pairs, tmp_path):
    experiment = Experiment((0, 1), episodes=20, placement=ON_CPU)
    evaluate.main(experiment, [checkpoint], pairs, fold=0, pictures=tmp_path / "pictures")
    names = {path.stem for path in (tmp_path / "pictures").glob("*.png")}
    assert names == {*CLASSES[:5], "classes"}
    for path in (tmp_path / "pictures").iterdir():
        with Image.open(path) as picture:
            assert min(picture.size) > 250
            assert len(picture.convert("RGB").getcolors(1 << 24)) > 20


def test_a_bench_reads_features_once_for_all_shots_and_methods(checkpoint, pairs):
    experiment = Experiment((0,), episodes=10, placement=ON_CPU)
    bench = open_bench(load_checkpoint(checkpoint), open_data(pairs, None), 0, experiment)
    evaluate.measure(bench, experiment)
    known = bench.gallery.query(View(0, 0, 0)).features
    evaluate.measure(bench, Experiment((0,), shots=3, episodes=10, baseline="1nn"))
    assert bench.gallery.query(View(0, 0, 0)).features is known


# The command


def sgone_evaluate(checkpoint, root, *arguments):
    tiny = ["--checkpoint", checkpoint, "--device", "cpu", "--precision", "float32"]
    options = ["evaluate", *tiny, "--data", root, "--episodes", 4, *arguments]
    return CliRunner().invoke(main, [str(option) for option in options])


def test_several_classes_have_five_supports_each_unless_told(checkpoint, crowded, tmp_path):
    for options, shots in (([], 5), (["--shots", 2], 2)):
        path = tmp_path / f"{shots}.json"
        sgone_evaluate(checkpoint, crowded, "--fold", 2, "--multiclass", "--json", path, *options)
        assert json.loads(path.read_text(encoding="utf-8"))["protocol"]["shots"] == shots


@pytest.mark.parametrize("option", ["--protocol", "--baseline", "--fusion"])
def test_an_unknown_choice_lists_the_known(checkpoint, crowded, option):
    result = sgone_evaluate(checkpoint, crowded, option, "mine")
    assert result.exit_code == 2
    assert "is not one of" in result.stderr
