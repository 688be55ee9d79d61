"""``sgone connect label-studio``: the backend, from its files and addresses to its end."""

import logging
from contextlib import closing
from pathlib import Path

import platformdirs

from service.client import SegmentationClient
from service.connectors.label_studio.backend import create_backend
from service.connectors.label_studio.ledger import Ledger
from service.connectors.label_studio.studio import Studio
from service.connectors.problems import ToolAwayError
from service.connectors.serving import log_to_standard_error, serve
from service.errors import SettingsError

_log = logging.getLogger(__name__)
STATE = "label-studio.sqlite3"


def run(
    service: str,
    model: str | None,
    studio_url: str,
    token_file: Path,
    state: Path | None,
    host: str,
    port: int,
) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises SettingsError for a file without a token, and ConnectorError for a token that Label
    Studio does not take; Label Studio may come later.
    """
    log_to_standard_error()
    token = token_file.read_text(encoding="utf-8").strip()
    if not token or len(token.split()) != 1:
        raise SettingsError(f"{token_file} must hold one access token and nothing else")
    path = state or platformdirs.user_data_path("sg-one-service") / STATE
    with closing(Studio(studio_url, token)) as studio:
        try:
            studio.check()
        except ToolAwayError as error:
            _log.warning("%s", error)
        with (
            closing(Ledger(path, str(studio.url))) as ledger,
            SegmentationClient(service, model=model) as client,
        ):
            serve(create_backend(client, studio, ledger), host, port)
