"""Which release of the service this is."""

from importlib.metadata import version

DISTRIBUTION = "sg-one-service"


def installed_version() -> str:
    """The version of the installed distribution."""
    return version(DISTRIBUTION)
