"""Which models are served: the names that the settings give to checkpoint files."""

import re
from collections.abc import Mapping
from pathlib import Path

import platformdirs

from service.checkpoints.manifest import SUFFIX, read_manifest
from service.errors import SettingsError
from service.settings import SHIPPED_CHECKPOINT, Settings

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def named_checkpoints(settings: Settings) -> Mapping[str, Path]:
    """Each model's file by its name, the default's first; without ``models`` the checkpoint alone.

    Raises SettingsError for a name that is none, comes twice or is unknown, for a file that is not
    there or whose licence is not accepted, and where both settings name a default.
    """
    if settings.models is None:
        _check_licence(settings.checkpoint)
        return {settings.checkpoint.stem: settings.checkpoint}
    if "checkpoint" in settings.model_fields_set:
        raise SettingsError(
            "settings checkpoint and models are both given; name the checkpoint among "
            "SGONE_MODELS, whose first is the default, and unset SGONE_CHECKPOINT"
        )
    found: dict[str, Path] = {}
    for entry in filter(None, map(str.strip, settings.models.split(","))):
        name, path = _named(entry, settings)
        if name in found:
            raise SettingsError(f"setting models has {name!r} twice; give each its own name")
        found[name] = path
    if not found:
        raise SettingsError("setting models names none; give NAME=FILE, or unset SGONE_MODELS")
    return found


def of_default(settings: Settings) -> Settings:
    """The settings with the default model's checkpoint."""
    return settings.model_copy(
        update={"checkpoint": next(iter(named_checkpoints(settings).values()))}
    )


def models_folder(settings: Settings) -> Path:
    """Where checkpoints lie that were pulled."""
    return settings.models_dir or platformdirs.user_data_path("sg-one-service") / "models"


def _named(entry: str, settings: Settings) -> tuple[str, Path]:
    name, given, path = entry.partition("=")
    name = name.strip()
    if not _NAME.fullmatch(name):
        raise SettingsError(
            f"setting models has the name {name[:80]!r}; take up to 64 letters, digits, dots, "
            "dashes and underscores"
        )
    found = Path(path.strip()).expanduser() if given else _lying(name, settings)
    if not found.is_file():
        raise SettingsError(
            f"setting models: the file {found} of {name} does not exist; mend SGONE_MODELS"
        )
    _check_licence(found)
    return name, found


def _check_licence(path: Path) -> None:
    """Raise SettingsError where somebody must agree to it first."""
    for entry in read_manifest(path.parent):
        if entry.file == path.name and not entry.may_be_used:
            raise SettingsError(
                f"the licence of {path} ({entry.licence}) is not accepted; "
                f"sgone models pull {entry.stem} --from {path.parent} shows it and asks"
            )


def _lying(name: str, settings: Settings) -> Path:
    """The file of this name among those that were pulled, or else shipped."""
    folders = (models_folder(settings), SHIPPED_CHECKPOINT.parent)
    for folder in folders:
        if (path := folder / f"{name}{SUFFIX}").is_file():
            return path
    known = sorted({path.stem for folder in folders for path in folder.glob(f"*{SUFFIX}")})
    raise SettingsError(
        f"setting models: there is no {name}{SUFFIX} in {folders[0]} or {folders[1]}; name a file "
        f"with {name}=FILE, or choose of {', '.join(known) or 'none'}"
    )
