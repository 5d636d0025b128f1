"""`python -m stand_in` serves until its standard input ends: Ctrl-D at a terminal, or the end of its parent."""

import sys

from stand_in import serving

with serving() as address:
    print(address, flush=True)
    sys.stdin.read()
