"""What pyproject.toml cannot say: the default checkpoint and its graphs travel in the wheel."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

WEIGHTS = Path("weights")
CARRIED = (
    "README.md",
    "manifest.toml",
    "sgone-efficientnet-lite2.graphs",
    "sgone-efficientnet-lite2.safetensors",
)


class BuildWithWeights(build_py):
    """In a wheel they lie in ``model/weights``; in a clone they stay where they are."""

    def run(self) -> None:
        """Copy the files once the modules are there."""
        super().run()
        if self.editable_mode:
            return
        folder = Path(self.build_lib, "model", "weights")
        self.mkpath(str(folder))
        for name in CARRIED:
            self.copy_file(str(WEIGHTS / name), str(folder / name))


setup(cmdclass={"build_py": BuildWithWeights})
