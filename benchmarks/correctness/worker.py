"""One contender, one way of calling, one fresh process. Prints what was recorded as a line of JSON.

python -m benchmarks.correctness.worker CONTENDER WAY PORT
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import sys
import warnings

from benchmarks.contenders import CONTENDERS
from benchmarks.correctness import ways
from benchmarks.correctness.reading import recorded
from benchmarks.switches import switch_on
from benchmarks.telemetry import Telemetry

#: What must be importable before a contender is switched on, by library.
MODULES = {"openai": "openai", "anthropic": "anthropic", "langchain": "langchain_openai", "litellm": "litellm"}


def main(contender: str, way_name: str, port: str) -> None:
    """Switch on, call, drain, read."""
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    way = ways.WAYS[way_name]
    ways.resolve_to_loopback()
    for library in way.libraries:
        importlib.import_module(MODULES[library])
    telemetry = Telemetry(keep=True, sampled=way.sampled)
    drain = switch_on(CONTENDERS[contender].switch, telemetry, way.libraries)
    complaints = way.run(int(port))
    drain()
    telemetry.flush()
    telemetry.collect()
    print("RESULT " + json.dumps({**recorded(telemetry), "complaints": complaints}), flush=True)
    os._exit(0)  # whatever a contender keeps open must not hold up the benchmark


if __name__ == "__main__":
    main(*sys.argv[1:])
