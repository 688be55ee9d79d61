"""``sgone models``: checkpoints in their folder, listed, fetched and verified."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from service.commands.parameters import ANY_PATH

if TYPE_CHECKING:
    from service.checkpoints.manifest import ManifestEntry

folder_option = click.option(
    "--models-dir", type=ANY_PATH, help="Folder of the models.  [default: SGONE_MODELS_DIR]"
)


@click.group()
def models() -> None:
    """Checkpoints by name: those that are shipped, and those in the folder of models.

    SGONE_MODELS serves them by these names.
    """


@models.command("list")
@folder_option
def list_models(models_dir: Path | None) -> None:
    """Show each model: name, megabytes, licence, title and file."""
    for path, entry in _checkpoints(models_dir):
        megabytes = f"{path.stat().st_size / 1e6:.1f} MB"
        licence = _licence(entry) if entry else "unknown licence"
        click.echo(
            "\t".join([path.stem, megabytes, licence, entry.name if entry else "", str(path)])
        )


@models.command("pull")
@click.argument("name")
@click.option("--from", "source", required=True,
              help="Folder or http(s) address of a manifest.toml and its files.")  # fmt: skip
@click.option("--accept-licence", is_flag=True, help="Agree to its licence without being asked.")
@folder_option
def pull_model(name: str, source: str, accept_licence: bool, models_dir: Path | None) -> None:
    """Fetch NAME, verify its SHA-256, and keep it in the folder of models."""
    from service.checkpoints.pulling import pull

    def agrees(entry: "ManifestEntry") -> bool:
        click.echo(f"{entry.name or entry.stem}: {entry.licence}\n{entry.terms}".rstrip())
        return accept_licence or click.confirm("Do you accept these terms?")

    folder = _folder(models_dir)
    entry = pull(source, name, folder, agrees)
    click.echo(f"{folder / entry.file} is verified; licence: {_licence(entry)}")


@models.command("verify")
@click.argument("names", nargs=-1)
@folder_option
def verify_models(names: tuple[str, ...], models_dir: Path | None) -> None:
    """Read the files of NAMES, or all, whole: each must be as it was written, and as listed."""
    from model.checkpoint import load_checkpoint
    from model.errors import ModelError

    found = {path.stem: (path, entry) for path, entry in _checkpoints(models_dir)}
    if unknown := [name for name in names if name not in found]:
        raise click.UsageError(f"there is no model {unknown[0]!r}; choose of {', '.join(found)}")
    failed = 0
    for name in names or found:
        path, entry = found[name]
        try:
            sha256 = load_checkpoint(path).sha256
        except ModelError as error:
            failed += 1
            click.echo(f"{name}\tfailed\t{error}")
            continue
        click.echo(f"{name}\t{'verified' if entry else 'in no manifest'}\t{sha256}")
    if failed:
        raise click.ClickException(f"{failed} of {len(names or found)} models failed")


def _checkpoints(models_dir: Path | None) -> Iterator[tuple[Path, "ManifestEntry | None"]]:
    """Those of the folder, then those that are shipped and not hidden by one of the same name."""
    from service.checkpoints.manifest import SUFFIX, read_manifest
    from service.settings import SHIPPED_CHECKPOINT

    seen: set[str] = set()
    for folder in (_folder(models_dir), SHIPPED_CHECKPOINT.parent):
        entries = {entry.file: entry for entry in read_manifest(folder)}
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            if path.name not in seen:
                seen.add(path.name)
                yield path, entries.get(path.name)


def _folder(models_dir: Path | None) -> Path:
    from service.checkpoints.named import models_folder
    from service.settings import read_settings

    return models_folder(read_settings(models_dir=models_dir))


def _licence(entry: "ManifestEntry") -> str:
    if not entry.must_accept:
        return entry.licence
    return (
        f"{entry.licence} (accepted {entry.accepted})"
        if entry.accepted
        else (f"{entry.licence} (not accepted)")
    )
