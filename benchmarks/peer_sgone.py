"""Ours where only the framework is timed: ``sgone serve`` with the fixed engine."""

import sys

from handler import engine_class
from service.cli import main
from service.inference import engine

if __name__ == "__main__":
    # `serve` looks the class up when it runs, and so serves whichever stands here.
    engine.Engine = engine_class()  # type: ignore[misc]
    main(["serve", *sys.argv[1:]])
