"""Puts this folder on the path, so that its tests share the meter and the certificates of `scenario.py`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
