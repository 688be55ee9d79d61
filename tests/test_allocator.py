"""Memory that stays with the process."""

import platform
import subprocess
import sys

import pytest

# Pages that the system had to give while a large array was made and freed twenty times.
COUNT_FAULTS = """
import resource, sys
import numpy as np
from model.allocator import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
np.ones(4_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    np.ones(4_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_an_array_that_is_made_again_needs_no_new_pages():
    faults = {
        way: int(subprocess.check_output([sys.executable, "-c", COUNT_FAULTS, way]))
        for way in ("keep", "give back")
    }
    assert faults["keep"] * 10 < faults["give back"]
