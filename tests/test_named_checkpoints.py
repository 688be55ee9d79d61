"""SGONE_MODELS: which names stand for which files, and what is refused at the start."""

import shutil
from pathlib import Path

import pytest

from service.checkpoints.named import named_checkpoints
from service.errors import SettingsError
from service.settings import SHIPPED_CHECKPOINT, Settings, read_settings


def reading(models: str, folder: Path, **others: object) -> Settings:
    return read_settings(models=models, models_dir=folder, **others)


def test_without_models_the_checkpoint_is_the_one_model(checkpoint: Path) -> None:
    assert named_checkpoints(read_settings(checkpoint=checkpoint)) == {"tiny": checkpoint}


def test_names_stand_for_files_and_the_first_is_the_default(
    checkpoint: Path, tmp_path: Path
) -> None:
    given = f" b={checkpoint} , a = {checkpoint},"
    assert list(named_checkpoints(reading(given, tmp_path)).items()) == [
        ("b", checkpoint),
        ("a", checkpoint),
    ]


def test_a_name_alone_is_a_file_of_the_folder_or_a_shipped_one(
    checkpoint: Path, tmp_path: Path
) -> None:
    own = tmp_path / "mine.safetensors"
    shutil.copy(checkpoint, own)
    found = named_checkpoints(reading("mine,sgone-efficientnet-lite2", tmp_path))
    assert found == {"mine": own, "sgone-efficientnet-lite2": SHIPPED_CHECKPOINT}


@pytest.mark.parametrize(
    ("models", "reason"),
    [
        ("a=/nowhere.safetensors", "does not exist"),
        ("unknown", "choose of .*sgone-efficientnet-lite2"),
        ("sgone-vgg16,sgone-vgg16", "twice"),
        ("a b=/x", "letters, digits"),
        ("../x", "letters, digits"),
        (" , ", "names none"),
    ],
)
def test_what_names_no_model_is_refused(models: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=reason):
        named_checkpoints(reading(models, tmp_path))


def test_two_defaults_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="both given"):
        named_checkpoints(reading("sgone-vgg16", tmp_path, checkpoint=checkpoint))
