"""The pictures on the documentation's site, each made by a command from what it shows. `scripts/make_site.py` makes them all.

What they show is set up by what the tests have for it: a stack of real programs, a fleet whose calls are known.
"""

import sys

from pages import ROOT

sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]
