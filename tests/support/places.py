"""Where things lie in the repository, for tests in any folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
TESTS: Final = ROOT / "tests"
SUPPORT: Final = TESTS / "support"
#: Recorded traffic of providers, where there is any.
CORPUS: Final = Path(os.environ.get("COSTSPAN_CORPUS") or ROOT.parent / "shared" / "corpus")
