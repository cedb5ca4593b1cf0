"""Puts this folder on the path, so that tests share the modules beside them that are not tests."""

import sys
from pathlib import Path

from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent))

# A busy machine is no fault of the code under test.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")
