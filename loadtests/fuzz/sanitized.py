"""A fuzz worker on the C file under sanitizers: `… LIBRARY --inputs N --seed S`.

What is resident says nothing there: freed memory is kept in quarantine.
"""

from __future__ import annotations

import sys
from pathlib import Path

from loadtests.fuzz.native import load

if __name__ == "__main__":
    load(Path(sys.argv.pop(1)))
    from loadtests.fuzz.worker import main

    sys.exit(main(rss_bound_kb=1 << 40))
