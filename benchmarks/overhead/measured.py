"""One contender in one process, ready to be measured: clients made, warmed, watched, and a switch to turn it off."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterable
from typing import Any

from benchmarks.contenders import CONTENDERS
from benchmarks.overhead.scenarios import SCENARIOS, Clients, Scenario, stub
from benchmarks.overhead.toggle import Toggle
from benchmarks.switches import switch_on
from benchmarks.telemetry import Telemetry

# anthropic >= 2 traces itself; here that would count as the client's own work, on and off alike.
os.environ.setdefault("ANTHROPIC_OPEN_TELEMETRY", "false")


class Measured:
    """What a worker measures."""

    def __init__(self, contender: str, scenarios: Iterable[str], *, stubbed: bool, sampled: bool = True) -> None:
        logging.disable(logging.WARNING)
        self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)
        self.scenarios = [SCENARIOS[name] for name in scenarios]
        self.clients = {name: Clients(name) for name in sorted({s.library for s in self.scenarios})}
        self._warm_up()
        if stubbed:
            for clients in self.clients.values():
                stub(clients)
        self.telemetry = Telemetry(sampled=sampled)
        self.toggle = Toggle()
        self._drain = switch_on(CONTENDERS[contender].switch, self.telemetry, self.clients)
        self.toggle.installed()

    def _warm_up(self) -> None:
        for scenario in self.scenarios:
            self.call(scenario)

    def call(self, scenario: Scenario, times: int = 1) -> None:
        """Make a kind of call so many times; async ones in one turn of the loop."""
        clients = self.clients[scenario.library]
        if scenario.is_async:
            self.loop.run_until_complete(_repeat(scenario, clients, times))
        else:
            for _ in range(times):
                scenario.call(clients)

    def drain(self) -> None:
        """Wait until the queues are empty: the contender's and the SDK's."""
        self._drain()
        self.telemetry.flush()


async def _repeat(scenario: Scenario, clients: Clients, times: int) -> None:
    call: Any = scenario.call
    for _ in range(times):
        await call(clients)
