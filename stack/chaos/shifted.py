"""The agent under a clock that can be set: costspan, the SDK and the agent all see the same false time.

Started instead of the launcher and agent.py, because the clock must be in place before anything is imported.
"""

from __future__ import annotations

import os

from stack.chaos import clock

if __name__ == "__main__":
    clock.set_to(int(os.environ["CHAOS_CLOCK"]))
    clock.install()

    from opentelemetry.instrumentation.auto_instrumentation import (  # pyright: ignore[reportMissingTypeStubs]
        initialize,
    )

    initialize()

    from stack.chaos import agent

    agent.main()
