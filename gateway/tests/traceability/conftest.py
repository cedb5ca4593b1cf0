"""Puts this folder on the path, so that its tests share `scenario.py`, and the protocol's for its strategies."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[2] / "protocol" / "tests")]
