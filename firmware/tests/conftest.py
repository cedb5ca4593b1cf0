"""Puts this folder on the path, so that tests share the modules beside them that are not tests; their fixtures."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from link_bench import start_broker, start_echo, start_meter  # noqa: F401
