"""Let `python -m lottery` do what `lottery` does."""

import sys

from lottery.cli import main

sys.exit(main())
