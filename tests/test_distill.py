"""Distillation end to end on a few coloured pictures, and the parts that it is made of."""

import dataclasses
import io
import json
import tarfile
from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import load_file, save_file

from killed import kill_at_step
from model.configuration import read_toml
from model.distillation import distill
from model.distillation.curriculum import Curriculum, DistillationSchedule
from model.distillation.judge import nearest_neighbour_accuracy
from model.distillation.regression import draw, fit_layer
from model.distillation.student import GIVEN, Student
from model.distillation.teacher import Teacher
from model.distillation.views import (
    Photographs,
    centre_views,
    hold_out,
    random_views,
    read_photographs,
)
from model.errors import CheckpointError, ConfigError, DatasetError, DivergenceError
from model.network.backbone import vgg16
from model.network.pretrained import load_imagenet_weights
from networks import build_tiny_network
from pictures import encode, photograph

INF = float("inf")
CURRICULUM = """
name = "tiny"
seed = 0

[material]
root = "nowhere"
archive = "photos.tar"
folder = "more"
names = "names.txt"
teacher = "teacher.safetensors"
given = "given.safetensors"
held_out = 2

[schedule]
steps = {steps}
sides = [33]
teacher_side = 65
batch_size = 4
warm_up = 2
judge_every = 2
"""


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    """Two classes of four photographs, two more without a class, and random weights."""
    root = tmp_path_factory.mktemp("material")
    with tarfile.open(root / "photos.tar", "w") as tar:
        for seed in range(8):
            content = encode(photograph(60, 80, seed=seed), "JPEG")
            member = tarfile.TarInfo(f"collection/{'even' if seed % 2 == 0 else 'odd'}/{seed}.jpg")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    (root / "more").mkdir()
    for name in ("a", "b"):
        (root / "more" / f"{name}.jpg").write_bytes(encode(photograph(80, 60), "JPEG"))
    (root / "names.txt").write_text("a\nb\n", encoding="utf-8")
    save_file(teacher_weights(), root / "teacher.safetensors")
    torch.manual_seed(0)
    given = {f"features.{key}": value for key, value in vgg16().layers.state_dict().items()}
    save_file(
        {key: given[key] for key in given if int(key.split(".")[1]) in GIVEN},
        root / "given.safetensors",
    )
    return root


def teacher_weights():
    """A random MobileNetV2 whose batch statistics fit its own signal."""
    state = torchvision.models.mobilenet_v2().state_dict()
    known = build_tiny_network().backbone.layers.state_dict()
    return state | {f"features.{key}": value.clone() for key, value in known.items()}


def write_curriculum(folder, steps=4):
    path = folder / "curriculum.toml"
    path.write_text(CURRICULUM.format(steps=steps), encoding="utf-8")
    return path


def run(material, folder, steps=4, **options):
    folder.mkdir(exist_ok=True)
    distill.main(write_curriculum(folder, steps), material, folder, device="cpu", **options)
    return folder


@pytest.fixture(scope="module")
def finished(material, tmp_path_factory):
    return run(material, tmp_path_factory.mktemp("finished"))


def learned(folder):
    state = load_file(folder / "state.safetensors")
    return {name: value for name, value in state.items() if name.startswith("student.")}


# A run


def test_the_result_loads_as_a_backbone_and_keeps_the_given_layers(material, finished):
    backbone = vgg16()
    load_imagenet_weights(backbone, "vgg16", finished / "vgg16.safetensors")
    given = load_file(material / "given.safetensors")
    for index in GIVEN:
        for name, value in backbone.layers[index].state_dict().items():
            assert torch.equal(value, given[f"features.{index}.{name}"])
    assert all(value.isfinite().all() for value in backbone.state_dict().values())


def test_a_student_without_batch_normalisation_computes_the_same(material, tmp_path):
    torch.manual_seed(0)
    student = Student(material / "given.safetensors")
    with torch.no_grad():
        for _ in range(3):
            student.train()(torch.randn(4, 3, 33, 33))
    save_file(student.eval().folded(), tmp_path / "vgg16.safetensors")
    backbone = vgg16().eval()
    load_imagenet_weights(backbone, "vgg16", tmp_path / "vgg16.safetensors")
    images = torch.randn(2, 3, 49, 33)
    with torch.no_grad():
        for folded, unfolded in zip(backbone(images), student(images), strict=True):
            assert unfolded.std() > 0.05
            torch.testing.assert_close(folded, unfolded, rtol=1e-4, atol=1e-4)


def test_a_run_writes_what_every_stretch_of_it_bought(finished, capsys):
    history = json.loads((finished / "history.json").read_text(encoding="utf-8"))
    assert [verdict["step"] for verdict in history] == [0, 2, 4]
    assert set(history[-1]["accuracy"]) >= {"conv5_3", "teacher block 17", "teacher block 18"}
    assert all(0 <= value <= 1 for verdict in history for value in verdict["accuracy"].values())


def test_the_student_comes_to_resemble_the_teacher(material, tmp_path):
    run(material, tmp_path, steps=16)
    first, *_, last = json.loads((tmp_path / "history.json").read_text(encoding="utf-8"))
    for pair, similarity in first["similarity"].items():
        assert last["similarity"][pair] > similarity + 0.1, pair


def test_the_command_prints_a_table_of_its_judgements(material, finished, capsys):
    distill.main(finished / "curriculum.toml", material, finished, resume=True, device="cpu")
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert "1-NN conv5_3" in table[0]
    assert [line.split("|")[1].strip() for line in table[2:]] == ["0", "2", "4"]


def test_a_killed_run_resumes_to_the_same_weights(material, finished, tmp_path, monkeypatch):
    kill_at_step(monkeypatch, 3)
    with pytest.raises(KeyboardInterrupt):
        run(material, tmp_path)
    monkeypatch.undo()
    run(material, tmp_path, resume=True)
    expected, actual = learned(finished), learned(tmp_path)
    assert expected.keys() == actual.keys()
    assert all(torch.equal(actual[name], expected[name]) for name in expected)


def test_a_run_may_be_lengthened_but_not_changed_when_it_resumes(material, tmp_path):
    run(material, tmp_path, steps=2)
    distill.main(
        tmp_path / "curriculum.toml", material, tmp_path, steps=4, resume=True, device="cpu"
    )
    assert json.loads((tmp_path / "history.json").read_text(encoding="utf-8"))[-1]["step"] == 4
    path = tmp_path / "curriculum.toml"
    path.write_text(
        path.read_text(encoding="utf-8").replace("seed = 0", "seed = 1"), encoding="utf-8"
    )
    with pytest.raises(CheckpointError, match="another recipe"):
        distill.main(path, material, tmp_path, resume=True, device="cpu")


def test_a_distillation_that_diverges_keeps_its_last_good_state(material, tmp_path, monkeypatch):
    rate = DistillationSchedule.rate
    monkeypatch.setattr(
        DistillationSchedule, "rate", lambda self, step: 1e30 if step == 2 else rate(self, step)
    )
    with pytest.raises(DivergenceError, match=r"step 4: its \w+ is (nan|inf); lower learning_rate"):
        run(material, tmp_path)
    assert json.loads((tmp_path / "history.json").read_bytes())[-1]["step"] == 2
    for name in ("vgg16", "state"):
        weights = load_file(tmp_path / f"{name}.safetensors")
        assert all(weight.isfinite().all() for weight in weights.values())


def test_a_distillation_is_not_written_over(material, finished):
    before = {path.name: path.read_bytes() for path in finished.iterdir()}
    with pytest.raises(ConfigError, match=r"holds a run \(state.*vgg16.*\); go on with --resume"):
        run(material, finished)
    assert {path.name: path.read_bytes() for path in finished.iterdir()} == before


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("state.safetensors", b""),
        ("history.json", b"{"),
        ("history.json", b"[]"),
        ("history.json", b'[{"step": 1}]'),
    ],
)
def test_a_broken_state_of_a_distillation_is_named(material, finished, tmp_path, name, content):
    for path in finished.glob("*.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"{name} cannot be resumed from"):
        run(material, tmp_path, resume=True)


# Its parts


@torch.no_grad()
def test_the_teacher_is_mobilenet_v2(material):
    torch.manual_seed(0)
    views = torch.randn(2, 3, 65, 65)
    network = torchvision.models.mobilenet_v2().eval()
    network.load_state_dict(load_file(material / "teacher.safetensors"))
    logits = Teacher(material / "teacher.safetensors")(views).logits
    torch.testing.assert_close(logits, network(views), rtol=1e-3, atol=1e-3)


@torch.no_grad()
def test_a_student_that_has_not_learned_hands_its_input_on(material):
    torch.manual_seed(0)
    layers = Student(material / "given.safetensors").eval().layers
    maps = torch.rand(2, 512, 5, 5)
    assert torch.corrcoef(torch.stack([maps.flatten(), layers[26](maps).flatten()]))[0, 1] > 0.4


def test_the_teacher_reads_its_own_maps_as_it_classifies(material):
    teacher = Teacher(material / "teacher.safetensors")
    views = torch.randn(4, 3, 65, 65)
    teacher.calibrate([views])
    lesson = teacher(views)
    assert lesson.logits.std() > 0
    torch.testing.assert_close(teacher.classify(lesson.maps[18]), lesson.logits, rtol=0, atol=1e-3)
    for standardised in lesson.maps.values():
        assert standardised.mean((0, 2, 3)).abs().max() < 1e-3


def blank(aspects, labels=None):
    pixels = torch.zeros(len(aspects), 3, 160, 160, dtype=torch.uint8)
    return Photographs(pixels, torch.tensor(aspects), labels or ("",) * len(aspects))


@pytest.mark.parametrize("aspect", [0.5, 1.0, 2.0])
def test_a_square_in_a_photograph_is_a_square_in_its_view(aspect):
    photographs = blank([aspect])
    wide, high = 20 * min(1, 1 / aspect), 20 * min(1, aspect)
    left, top = int(80 - wide), int(80 - high)
    photographs.pixels[:, :, top : int(80 + high), left : int(80 + wide)] = 255
    view = centre_views(photographs, 65, 129).student[0, 0]
    bright = view > view.mean()
    assert bright.any(0).sum() == bright.any(1).sum()


def test_both_networks_see_the_same_view():
    noise = torch.rand(6, 3, 10, 10).mul(255)
    pixels = torch.nn.functional.interpolate(noise, (160, 160), mode="bicubic").clamp(0, 255)
    photographs = Photographs(pixels.byte(), torch.ones(6), ("",) * 6)
    views = random_views(photographs, 49, 97, torch.Generator().manual_seed(0))
    shrunk = torch.nn.functional.interpolate(views.teacher, (49, 49), mode="area")
    assert views.teacher.shape[-2:] == (97, 97)
    assert (views.student - shrunk).abs().mean() < 0.1 * views.student.std()
    again = random_views(photographs, 49, 97, torch.Generator().manual_seed(0))
    assert torch.equal(views.student, again.student)


def test_held_out_photographs_are_not_learned_from():
    photographs = blank([float(i) for i in range(1, 9)], ("a", "b", "", "a", "b", "a", "b", "rare"))
    rest, held_out = hold_out(photographs, 2, seed=0)
    assert held_out.labels == ("a", "a", "b", "b")
    assert sorted([*rest.aspects.tolist(), *held_out.aspects.tolist()]) == list(range(1, 9))
    assert {"", "rare"} < set(rest.labels)


def test_neighbours_are_found_by_the_angle_not_the_length():
    east, north = [1.0, 0.1], [0.1, 1.0]
    vectors = torch.tensor([east, north, [50.0, 6.0], [9.0, 8.0], north, north, [1.0, 9.0], east])
    # Two classes of known-known-asked-asked; one of each class's asked lies nearer the other's.
    vectors[1] = torch.tensor(east)
    assert nearest_neighbour_accuracy(vectors, per_class=4) == pytest.approx(0.75)


# What is refused


def test_a_missing_or_broken_photograph_is_named(material, tmp_path):
    more, names = material / "more", material / "names.txt"
    with pytest.raises(DatasetError, match=r"nowhere\.tar is missing"):
        read_photographs(tmp_path / "nowhere.tar", more, names)
    with pytest.raises(DatasetError, match=r"nowhere\.txt is missing"):
        read_photographs(material / "photos.tar", more, tmp_path / "nowhere.txt")
    with pytest.raises(DatasetError, match=r"names\.txt is no readable tar"):
        read_photographs(names, more, names)
    with tarfile.open(tmp_path / "broken.tar", "w") as tar:
        tar.add(names, "collection/class/broken.jpg")
    with pytest.raises(DatasetError, match=r"broken\.tar: .*broken\.jpg is not an image"):
        read_photographs(tmp_path / "broken.tar", more, names)


def test_what_systems_leave_in_an_archive_is_left_alone(material, tmp_path):
    (tmp_path / "names.txt").write_text("a\r\nb\r\n", encoding="utf-8-sig")
    with tarfile.open(tmp_path / "photos.tar", "w") as tar:
        tar.add(material / "more" / "a.jpg", "./set/cup/a.jpg")
        for name in ("set/cup/._a.jpg", "set/cup/Thumbs.db", "__MACOSX/set/cup/a.jpg"):
            tar.add(tmp_path / "names.txt", name)
    read = read_photographs(tmp_path / "photos.tar", material / "more", tmp_path / "names.txt")
    assert read.labels == ("cup", "", "")


@pytest.mark.parametrize("network", [Student, Teacher])
def test_weights_that_are_not_finite_are_not_learned_from(network, material, tmp_path):
    name = "given" if network is Student else "teacher"
    weights = load_file(material / f"{name}.safetensors")
    weights["features.2.weight" if network is Student else "classifier.1.bias"].view(-1)[0] = INF
    save_file(weights, tmp_path / "weights.safetensors")
    with pytest.raises(CheckpointError, match=r"weights\.safetensors holds values that are not"):
        network(tmp_path / "weights.safetensors")


def test_an_archive_without_classes_is_refused():
    with pytest.raises(DatasetError, match="no class has 3 photographs"):
        hold_out(blank([1.0, 1.0], ("a", "a")), 3, seed=0)


@pytest.mark.parametrize("network", [Student, Teacher])
def test_weights_of_another_network_are_refused(network, material, tmp_path):
    save_file({"weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    (tmp_path / "text.safetensors").write_text("no weights", encoding="utf-8")
    for name in ("other", "text", "missing"):
        with pytest.raises(
            CheckpointError, match=rf"{name}\.safetensors (does not hold|is not a read)"
        ):
            network(tmp_path / f"{name}.safetensors")


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("[33]", "[96]", r"schedule\.sides\.0: .*16n \+ 1"),
        ("teacher_side = 65", "teacher_side = 49", r"schedule\.teacher_side: .*32n \+ 1"),
        ("[33]", "[]", r"schedule\.sides: .*at least 1 item"),
        ("held_out = 2", "held_out = 3", r"material\.held_out: .*multiple of 2"),
        ("seed = 0", "sead = 0", "sead: Unexpected keyword"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, before, after, message):
    path = write_curriculum(tmp_path)
    path.write_text(path.read_text(encoding="utf-8").replace(before, after), encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        read_toml(path, Curriculum)


@pytest.mark.parametrize("name", ["vgg16-distill", "vgg16-distill-cpu"])
def test_a_curriculum_of_the_repository_is_valid_and_ends_at_rate_zero(name):
    path = Path(distill.__file__).parents[1] / "configs" / f"{name}.toml"
    schedule = read_toml(path, Curriculum).schedule
    assert schedule.rate(schedule.steps) == pytest.approx(0)
    assert schedule.rate(0) < schedule.rate(schedule.warm_up)
    longer = dataclasses.replace(schedule, steps=2 * schedule.steps)
    assert longer.side(0) == schedule.sides[0]
    assert longer.side(longer.steps - 1) == schedule.sides[-1]


# Its start in closed form


def test_a_start_by_regression_resembles_the_teacher_before_the_first_step(material, tmp_path):
    path = write_curriculum(tmp_path)
    path.write_text(
        path.read_text(encoding="utf-8") + "\n[start]\nviews = 24\ncells = 1200\n", encoding="utf-8"
    )
    run(material, tmp_path / "plain", steps=0)
    distill.main(path, material, tmp_path / "fitted", steps=0, device="cpu")
    plain, fitted = (
        json.loads((tmp_path / name / "history.json").read_text(encoding="utf-8"))[0]["similarity"]
        for name in ("plain", "fitted")
    )
    assert all(fitted[pair] > plain[pair] for pair in plain)


def test_a_fitted_layer_predicts_what_its_patches_determine(material):
    torch.manual_seed(0)
    student = Student(material / "given.safetensors").eval()
    maps = torch.rand(40, 512, 5, 5)
    shifted = torch.nn.functional.pad(maps, (0, 1))[:, :128, :, 1:]
    layer = student.layers[28]
    targets = {17: shifted, 18: shifted.flip(1)}
    sample = draw(maps, targets, 3, 1000, torch.Generator().manual_seed(0))
    fit_layer(layer, sample, torch.Generator().manual_seed(0))
    with torch.no_grad():
        predicted = layer(maps)[:, :128]
    pair = torch.stack([predicted.flatten(), (shifted - shifted.mean()).flatten()])
    assert torch.corrcoef(pair)[0, 1] > 0.8
