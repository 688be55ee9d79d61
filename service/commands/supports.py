"""``sgone supports``: the stored sets of a service, listed, moved, renamed and deleted."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from service.commands.parameters import url_option
from service.flags import check_unwritten

if TYPE_CHECKING:
    from service.folders.stored import StoredSets


@click.group()
def supports() -> None:
    """Stored supports of a service: list them, move them, rename and delete them.

    SET is a stored set's name or id.
    """


@supports.command("list")
@url_option
def list_sets(url: str) -> None:
    """Show the stored sets, the newest first: id, pairs, name and label."""
    with _stored_sets(url) as sets:
        for stored in sets:
            click.echo("\t".join([stored.id, str(stored.shots), stored.name, stored.label or ""]))


@supports.command("export")
@click.argument("stored_set", metavar="SET")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--overwrite", is_flag=True, help="Write over a file that is there.")
@url_option
def export_set(stored_set: str, file: Path, overwrite: bool, url: str) -> None:
    """Write SET with its photographs and masks into FILE, a ZIP archive."""
    if not overwrite:
        check_unwritten(file)
    with _stored_sets(url) as sets:
        stored = sets.export(stored_set, file)
    click.echo(f"{stored.name} is in {file}, with its {_pairs(stored.shots)}")


@supports.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", help="Store it under this name.  [default: its own]")
@url_option
def import_set(file: Path, name: str | None, url: str) -> None:
    """Store what FILE holds, which `sgone supports export` or the page wrote."""
    with _stored_sets(url) as sets:
        stored = sets.client.import_support_set(file, name)
    click.echo(f"{stored.name} is stored as {stored.id}, with {_pairs(stored.shots)}")


@supports.command("rename")
@click.argument("stored_set", metavar="SET")
@click.argument("name", metavar="NEW_NAME")
@click.option("--label", help="Give it this label, too; '' takes it away.")
@url_option
def rename_set(stored_set: str, name: str, label: str | None, url: str) -> None:
    """Give SET another name."""
    with _stored_sets(url) as sets:
        before = sets.find(stored_set)
        stored = sets.client.change_support_set(before.id, name=name, label=label)
    click.echo(f"{before.name} is now {stored.name}")


@supports.command("delete")
@click.argument("stored_set", metavar="SET")
@click.option("--yes", is_flag=True, help="Do not ask.")
@url_option
def delete_set(stored_set: str, yes: bool, url: str) -> None:
    """Delete SET with its photographs and masks, for good."""
    with _stored_sets(url) as sets:
        stored = sets.find(stored_set)
        if not yes:
            question = f"Delete {stored.name} ({_pairs(stored.shots)})? It cannot be undone."
            click.confirm(question, abort=True)
        sets.client.delete_support_set(stored.id)
    click.echo(f"{stored.name} is deleted")


@contextmanager
def _stored_sets(url: str) -> Iterator["StoredSets"]:
    """Reach the service, which needs httpx and no torch."""
    from service.folders.sources import check_client

    check_client()
    from service.folders.stored import reaching

    with reaching(url) as sets:
        yield sets


def _pairs(count: int) -> str:
    return "1 pair" if count == 1 else f"{count} pairs"
