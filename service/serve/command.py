"""``sgone serve``: the address, then one process that serves, or several."""

import logging

from service.metrics.logs import configure_logging
from service.serve import process as serving
from service.serve.hangup import hold_hangups
from service.serve.listener import bind, browser_url
from service.serve.supervisor import supervise
from service.settings import Settings, deprecated_settings

_log = logging.getLogger(__name__)


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then finish accepted requests and exit with code 0.

    SIGHUP reloads changed models; where the terminal has hung up, it ends the service as well.
    Exit with code 1 after the last crash of inference, so that whoever runs the service starts it
    again. Before it listens it may raise SettingsError, for the address or the database, and what
    Engine.load raises.
    """
    serving.leave_on_signals()
    hold_hangups()
    configure_logging(settings)
    if names := deprecated_settings(settings):
        _log.warning("no longer used, and refused from 0.4.0 on: %s", ", ".join(names))
    with serving.ending_at_once(), bind(settings) as listener:
        if settings.workers == 1:
            ready = "ready: open " + browser_url(listener)
            serving.run(settings, listener, on_ready=lambda engine: _log.info(ready))
        else:
            supervise(settings, listener)
