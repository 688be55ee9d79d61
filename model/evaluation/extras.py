"""Libraries that only some evaluations need, and how to install them."""

from collections.abc import Iterator
from contextlib import contextmanager

from model.errors import ConfigError


@contextmanager
def needing(extra: str, why: str) -> Iterator[None]:
    """Imports within it: ConfigError that says ``why``, and which extra has what is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ConfigError(f"{why}: pip install 'sg-one-service[{extra}]'") from error


def need_pictures() -> None:
    """ConfigError where matplotlib is not installed."""
    with needing("train", "pictures need matplotlib"):
        import matplotlib.figure  # noqa: F401


def need_scikit_learn() -> None:
    """ConfigError where it is not installed."""
    with needing("eval", "logistic regression needs scikit-learn"):
        import sklearn.linear_model  # noqa: F401
