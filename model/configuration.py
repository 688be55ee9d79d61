"""A TOML file to a frozen dataclass, every key checked."""

import tomllib
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from model.errors import ConfigError
from model.text import read_text

Configuration = TypeVar("Configuration")


def read_toml(path: Path, kind: type[Configuration]) -> Configuration:
    """Parse and check a TOML file; ConfigError names every unknown key and impossible value."""
    try:
        table = tomllib.loads(read_text(path))
    except FileNotFoundError:
        raise ConfigError(
            f"{path} does not exist; name a recipe such as those in model/configs/"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML ({error})") from error
    try:
        return TypeAdapter(kind).validate_python(table)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
            for problem in error.errors()
        )
        raise ConfigError(f"{path}: {problems}") from error
