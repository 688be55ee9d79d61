"""``sgone connect``: annotation tools that ask a service for masks."""

from collections.abc import Callable
from pathlib import Path

import click

from service.commands.parameters import ANY_PATH, EXISTING_FILE, model_option, url_option


def _address(port: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The flags of every connector."""

    def add(command: Callable[..., None]) -> Callable[..., None]:
        for option in (
            click.option("--port", type=click.IntRange(1, 65535), default=port, show_default=True,
                         help="Port to listen on."),
            click.option("--host", default="127.0.0.1", show_default=True,
                         help="Address to listen on."),
            model_option,
            url_option,
        ):  # fmt: skip
            command = option(command)
        return command

    return add


@click.group()
def connect() -> None:
    """Let an annotation tool ask a service for masks."""


@connect.command("label-studio")
@click.option("--label-studio", "studio", required=True,
              help="Address of Label Studio, such as http://127.0.0.1:8080.")  # fmt: skip
@click.option("--token-file", type=EXISTING_FILE, required=True,
              help="File that holds an access token of a Label Studio user.")  # fmt: skip
@click.option("--state", type=ANY_PATH,
              help="File that notes which annotation gave which support.  [default: in the user's "
              "data]")  # fmt: skip
@_address(9090)
def label_studio(
    studio: str,
    token_file: Path,
    state: Path | None,
    url: str,
    model: str | None,
    host: str,
    port: int,
) -> None:
    """Predict tasks of Label Studio, and learn from annotations.

    A label of a project is the stored set of its name.
    """
    _check_client()
    from service.connectors.label_studio import running

    running.run(url, model, studio, token_file, state, host, port)


@connect.command("x-anylabeling")
@_address(9091)
def x_anylabeling(url: str, model: str | None, host: str, port: int) -> None:
    """Be the remote server of X-AnyLabeling, with the stored sets as its classes."""
    _check_client()
    from service.connectors import x_anylabeling

    x_anylabeling.run(url, model, host, port)


def _check_client() -> None:
    from service.folders.sources import check_client

    check_client()
