"""The settings as flags of a command, and the command group that speaks in one sentence."""

import signal
from functools import cache
from pathlib import Path
from typing import Any

import click

from service.mending import MENDABLE, sentence

# Serving on a CPU needs none of them.
OF_EXTRAS = ("torch", "torchvision", "matplotlib")


class OneSentence(click.Group):
    """Whatever a user can mend is one sentence on standard error and exit code 1; Ctrl-C is 130."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("Stopped.", err=True)
            ctx.exit(128 + signal.SIGINT)
        except MENDABLE as error:
            raise click.ClickException(sentence(error)) from error
        except ModuleNotFoundError as error:
            if error.name not in OF_EXTRAS:
                raise
            raise click.ClickException(
                f"this command needs {error.name}, which is not installed; "
                "pip install 'sg-one-service[train]', or in a clone make install"
            ) from error


class SettingsCommand(click.Command):
    """Has one flag for each setting; made when asked for, since pydantic takes its time."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The settings' flags and --help."""
        return [*setting_flags(), *super().get_params(ctx)]


@cache
def setting_flags() -> tuple[click.Option, ...]:
    """Every field of Settings as a flag; Settings itself checks the values."""
    from service.settings import Settings

    return tuple(_flag(name, field) for name, field in Settings.model_fields.items())


def check_unwritten(*paths: Path | None) -> None:
    """Refuse a file that is there, or a folder with anything in it, before hours of work."""
    for path in paths:
        if path and (path.is_file() or (path.is_dir() and any(path.iterdir()))):
            raise click.ClickException(
                f"{path} is there already; name another, or write over it with --overwrite"
            )


def _flag(name: str, field: Any) -> click.Option:
    from service.settings import flag_name, variable_name

    help_text = f"{field.description}  [{variable_name(name)}; default: {_shown(field.default)}]"
    hidden = bool(field.deprecated)
    return click.Option([flag_name(name), name], metavar="VALUE", help=help_text, hidden=hidden)


def _shown(default: object) -> str:
    if isinstance(default, Path):
        return f"{default.parent.name}/{default.name}"
    return "unset" if default is None else str(default)
