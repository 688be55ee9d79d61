"""Where ``sgone segment`` takes its supports and its network from: this machine or a service."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import click

from service.folders.sweep import Finder
from service.options import KShotOptions
from service.settings import Settings, read_settings


@dataclass(frozen=True)
class NetworkFlags:
    """The flags that say where a network runs.

    Raises click.UsageError for a service and a network here at once.
    """

    url: str | None
    model: str | None
    checkpoint: Path | None
    executor: str | None
    device: str | None
    precision: str | None

    def __post_init__(self) -> None:
        local = (self.checkpoint, self.executor, self.device, self.precision)
        if self.url and any(local):
            raise click.UsageError(
                "--checkpoint, --executor, --device and --precision are for a network here; "
                "leave out --url"
            )
        if self.model and not self.url:
            raise click.UsageError(
                "--model is one of a service; say which with --url, or give a --checkpoint"
            )

    def settings(self) -> Settings:
        """Of a network here, and of what reads photographs."""
        return read_settings(
            checkpoint=self.checkpoint,
            executor=self.executor,
            device=self.device,
            precision=self.precision,
        )


@dataclass(frozen=True)
class Sources(NetworkFlags):
    """The flags of the command. Raises click.UsageError for flags that exclude each other."""

    supports: Sequence[Path]
    masks: Sequence[Path]
    support_set: str | None

    def __post_init__(self) -> None:
        if len(self.supports) != len(self.masks):
            raise click.UsageError(
                f"{len(self.supports)} --support but {len(self.masks)} --mask; pair them up"
            )
        if bool(self.supports) == bool(self.support_set):
            raise click.UsageError("give --support and --mask, or else --support-set")
        if self.support_set and not self.url:
            raise click.UsageError("--support-set is one of a service; say which with --url")
        super().__post_init__()

    def open(self, options: KShotOptions) -> AbstractContextManager[Finder]:
        """Read the supports, then load the network or reach the service, which needs no torch."""
        pairs = list(zip(self.supports, self.masks, strict=True))
        if self.url is None:
            from service.folders.local import LocalFinder

            return nullcontext(LocalFinder(self.settings(), pairs, options))
        check_client()
        from service.folders.remote import asking

        return asking(self.url, self.model, self.support_set or pairs, options, self.settings())


def check_client() -> None:
    """Raise click.UsageError where the service's client cannot be imported."""
    if find_spec("httpx") is None:
        raise click.UsageError("--url needs httpx: pip install 'sg-one-service[client]'")
