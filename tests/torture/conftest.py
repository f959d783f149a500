"""Let the torture tests import harness.py and faults.py beside them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # for --import-mode=importlib
