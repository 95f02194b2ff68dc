import subprocess
import sys

import pytest

MEASURE = """
import resource, sys
from unflaw.data import RowReader

def read(path):
    n = sum(len(batch) for batch in RowReader(path, on_reject=lambda _: None))
    return n, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

_, before = read(sys.argv[1])
n, after = read(sys.argv[2])
print(n, (after - before) * 1024)
"""


@pytest.fixture
def memory_growth():
    """Rows of the second file, and bytes by which reading it raises the peak that reading the first one left.

    In a process of its own: in this one every call is type-checked, which takes a hundred times the reading.
    """
    pytest.importorskip("resource")

    def measure(first, second):
        command = [sys.executable, "-c", MEASURE, str(first), str(second)]
        n, growth = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        return int(n), int(growth)

    return measure
