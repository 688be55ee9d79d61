"""What an operator can set: each field is an SGONE_ variable and a flag of ``sgone serve``."""

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.errors import SettingsError

PREFIX = "SGONE_"
_ROOT = Path(__file__).parents[1]
# In a clone the weights lie beside the code, in an installed wheel inside the model package.
_WEIGHTS = _ROOT / "weights" if (_ROOT / "pyproject.toml").exists() else _ROOT / "model" / "weights"
SHIPPED_CHECKPOINT = _WEIGHTS / "sgone-efficientnet-lite2.safetensors"
# The same as in model.images.opening; here again, so that settings are read without Pillow.
PILLOW_MAX_PIXELS = 89_478_485


class Settings(BaseSettings):
    """Build it with ``read_settings``, which also refuses unknown SGONE_ variables."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="forbid"
    )

    checkpoint: Annotated[Path, Field(description="Checkpoint file (safetensors).")] = (
        SHIPPED_CHECKPOINT
    )
    models: Annotated[
        str | None,
        Field(
            description="Models to serve by name, parted by commas, the first by default: "
            "NAME=FILE, or NAME alone of one that is shipped or lies in models_dir. Unset, the "
            "checkpoint alone."
        ),
    ] = None
    models_dir: Annotated[
        Path | None,
        Field(
            description="Folder of checkpoints, with their manifest.toml; in the user's data when "
            "unset."
        ),
    ] = None
    max_models_bytes: Annotated[
        int | None,
        Field(
            ge=1,
            description="Bytes of memory above which the model that was used least recently is "
            "dropped; all stay when unset.",
        ),
    ] = None
    device: Annotated[
        str, Field(description="auto (CUDA where there is a GPU), cpu, cuda or cuda:N.")
    ] = "auto"
    precision: Annotated[
        Literal["auto", "bfloat16", "float32"],
        Field(description="auto is bfloat16 where the hardware multiplies it, else float32."),
    ] = "auto"
    executor: Annotated[
        Literal["auto", "openvino", "torch"],
        Field(description="What runs the network; auto is OpenVINO on a CPU, torch on a GPU."),
    ] = "auto"
    threads: Annotated[
        int | None,
        Field(
            ge=1,
            le=1024,
            description="Threads of one forward pass; the cores, shared by workers, when unset.",
        ),
    ] = None
    cache_dir: Annotated[
        Path | None,
        Field(description="Folder for prepared networks; in the user's cache when unset."),
    ] = None
    fixed_shapes: Annotated[
        int | None,
        Field(
            ge=0,
            le=1024,
            description="Graphs that are made for the sizes that recur; 0 makes none, 4 with "
            "OpenVINO and 64 on CUDA when unset.",
        ),
    ] = None
    prototype_cache_bytes: Annotated[
        int,
        Field(ge=0, description="Bytes of encodings of sent supports that are kept; 0 keeps none."),
    ] = 256 * 1024 * 1024
    host: Annotated[str, Field(description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, description="Port; 0 takes a free one.")] = 8000
    workers: Annotated[
        int,
        Field(
            ge=1, le=256, description="Processes that share the port, each with its own network."
        ),
    ] = 1
    drain_ms: Annotated[
        int,
        Field(
            ge=0,
            le=600_000,
            description="How long a stopped service answers 503 before it gives up its address.",
        ),
    ] = 1000
    input_side: Annotated[
        int | None,
        Field(
            ge=33,
            le=4097,
            description="Its square is about the number of pixels that the network sees; the "
            "checkpoint's when unset.",
        ),
    ] = None
    max_shots: Annotated[
        int, Field(ge=1, le=1000, description="Supports that one request may hold.")
    ] = 10
    max_classes: Annotated[
        int,
        Field(
            ge=1, le=254, description="Classes that one request to /segment/multiclass may name."
        ),
    ] = 20
    max_queries: Annotated[
        int, Field(ge=1, le=1_000_000, description="Queries of one batch, masks of /annotations.")
    ] = 1000
    max_image_pixels: Annotated[
        int,
        Field(
            ge=1,
            le=PILLOW_MAX_PIXELS,
            description="Pixels (width x height) of one image, checked before decoding.",
        ),
    ] = 50_000_000
    max_upload_bytes: Annotated[
        int, Field(ge=1, description="Bytes of one request's body, checked while it arrives.")
    ] = 64 * 1024 * 1024
    max_batch_bytes: Annotated[
        int,
        Field(ge=1, description="Bytes of one body of a batch or /annotations, kept on disk."),
    ] = 1024 * 1024 * 1024
    max_bodies_bytes: Annotated[
        int,
        Field(ge=1, description="Bytes of memory that the bodies of all requests together take."),
    ] = 512 * 1024 * 1024
    max_spool_bytes: Annotated[
        int,
        Field(ge=1, description="Bytes of disk that the bodies of all batches together take."),
    ] = 4 * 1024 * 1024 * 1024
    spool_dir: Annotated[
        Path | None,
        Field(description="Folder for the bodies of batches; the system's temporary one if unset."),
    ] = None
    max_connections: Annotated[
        int,
        Field(
            ge=2,
            description="Connections that may be open; one address may hold half of them.",
        ),
    ] = 1000
    allowed_hosts: Annotated[
        str | None,
        Field(
            description="Names, parted by commas, that the service is asked by beside local ones; "
            "* takes all. Unset, all are taken unless it listens on this machine alone."
        ),
    ] = None
    cors_origins: Annotated[
        str | None,
        Field(
            description="Origins of web pages, parted by commas, that may call the service, such "
            "as http://localhost:3000; * is all."
        ),
    ] = None
    admin_key: Annotated[
        SecretStr | None,
        Field(
            min_length=16,
            description="Key that reloads models; without it only SIGHUP does. Best given as the "
            "variable, since flags are seen by others.",
        ),
    ] = None
    max_queue: Annotated[
        int,
        Field(ge=1, description="Requests that may wait for the network; more are refused (429)."),
    ] = 32
    request_timeout_ms: Annotated[
        int,
        Field(
            ge=1,
            le=3_600_000,
            description="Longest that a request may wait and be worked on (504 after it), and "
            "that its body may pause.",
        ),
    ] = 30_000
    decode_threads: Annotated[
        int, Field(ge=1, le=256, description="Threads that decode images and encode masks.")
    ] = 4
    database_url: Annotated[
        str,
        Field(description="Where supports are stored: sqlite:///FILE, or postgresql+psycopg://..."),
    ] = "sqlite:///sgone.sqlite3"
    max_sets: Annotated[int, Field(ge=1, description="Sets of supports that may be stored.")] = 1000
    max_stored_bytes: Annotated[
        int, Field(ge=1, description="Bytes of files that all stored sets together may hold.")
    ] = 4 * 1024 * 1024 * 1024
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Field(description="Least level logged.")
    ] = "info"
    log_format: Annotated[
        Literal["text", "json"],
        Field(description="One line of text, or one JSON object, a record."),
    ] = "text"
    # The network takes one request at a time: these do nothing, and 0.4.0 refuses them.
    max_batch: Annotated[Any, Field(deprecated=True)] = None
    batch_window_ms: Annotated[Any, Field(deprecated=True)] = None


def read_settings(**flags: Any) -> Settings:
    """Flags beat the environment, which beats the defaults; a flag of None counts as not given.

    Raises SettingsError for an unknown SGONE_ variable or a value out of its range.
    """
    known = {variable_name(name) for name in Settings.model_fields}
    useful = sorted(variable_name(name) for name in current_fields())
    unknown = sorted(
        name for name in os.environ if name.upper().startswith(PREFIX) and name.upper() not in known
    )
    if unknown:
        raise SettingsError(
            f"unknown setting {', '.join(unknown)} in the environment; "
            f"unset it, or choose of {', '.join(useful)}"
        )
    try:
        return Settings(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        raise SettingsError(_sentence(error)) from None


def current_fields() -> dict[str, FieldInfo]:
    """The settings that do something, by name."""
    return {name: field for name, field in Settings.model_fields.items() if not field.deprecated}


def deprecated_settings(settings: Settings) -> list[str]:
    """The variables of those that were given, and that do nothing any more."""
    given = settings.model_fields_set - current_fields().keys()
    return sorted(variable_name(name) for name in given)


def variable_name(field: str) -> str:
    """``max_queue`` -> ``SGONE_MAX_QUEUE``."""
    return PREFIX + field.upper()


def flag_name(field: str) -> str:
    """``max_queue`` -> ``--max-queue``."""
    return "--" + field.replace("_", "-")


def _sentence(error: ValidationError) -> str:
    first = error.errors()[0]
    name = str(first["loc"][0])
    reason = first["msg"][0].lower() + first["msg"][1:]
    return (
        f"setting {name} is {first['input']!r}: {reason}; "
        f"mend {variable_name(name)} or {flag_name(name)}"
    )
