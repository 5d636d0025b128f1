"""The stack of docker-compose.yml on this machine, without docker: the same programs, commands and configurations."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from stack import binaries, password
from stack.compose import ROOT, Service, services
from stack.places import Places
from stack.processes import Running, until

#: The program behind each service. Grafana cannot be built by Go alone: its front end is another world.
PROGRAMS: Final[dict[str, Callable[[], Path]]] = {
    "collector": lambda: binaries.program("otelcol"),
    "prometheus": lambda: binaries.program("prometheus"),
    "alertmanager": lambda: binaries.program("alertmanager"),
    "webhook": lambda: Path(sys.executable),
}
#: A wait of the compose file, and what stands in its place for whoever cannot wait, and needs no alert to be silenced
#: over a restart of Alertmanager.
HASTE: Final = {"--dispatch.start-delay=100s": "--dispatch.start-delay=0s"}
#: Services whose command names its program, because their image starts none by itself.
_NAMED: Final = {"webhook", "password"}
_COLLECTOR: Final = "collector"
#: The service that runs before all others, and ends.
FIRST: Final = "password"


class Stack:
    """Collector, Prometheus, Alertmanager and webhook as docker-compose.yml has them, for as long as a `with` lasts.

        with Stack(tmp_path) as stack:
            os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = stack.url("collector", 4318)
            ...
            stack.query("sum(llm_cost_usd_total)")

    Before the `with`, configurations lie translated in `stack.configuration(service)` and may be changed there.

    Args:
        folder: where data, translated configurations and logs lie.
        only: the services to start; all that can run here by default.
        fixed: True takes the ports of the compose file, False free ones.
        live: True links the configuration files instead of copying them, where nothing in them is to be translated.
        more: further Collectors, for instance those of a fleet.
        haste: words of commands and what stands in their place, for instance `HASTE`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        only: Iterable[str] = PROGRAMS,
        fixed: bool = False,
        live: bool = False,
        more: Iterable[Service] = (),
        haste: Mapping[str, str] = {},
    ) -> None:
        self.folder = folder
        further = {service.name: service for service in more}
        self.services = {**services(), **further}
        self._haste = haste
        only = (*only, *further)
        self.places = Places(folder, self.services, fixed=fixed)
        folder.mkdir(parents=True, exist_ok=True)
        # In containers every service sees its own volumes; here only the owner may look: a password is among them.
        (folder / "data").mkdir(mode=0o700, exist_ok=True)
        for name in (FIRST, *only):
            self.places.prepare(name, live=live)
        self.running = {name: self._running(self.services[name]) for name in only}

    def _running(self, service: Service) -> Running:
        return Running(
            service.name,
            self.command(service.name),
            {**os.environ, **self.environment(service.name)},
            self.folder / f"{service.name}.log",
            self.places.translate(service.name, service.health),
            lambda: self.headers(service.name),
        )

    def command(self, name: str) -> list[str]:
        """The command line of a service on this machine."""
        words = self.services[name].command[1 if name in _NAMED else 0 :]
        program = PROGRAMS["webhook" if name == FIRST else name if name in PROGRAMS else _COLLECTOR]()
        return [str(program), *(self.places.translate(name, self._haste.get(word, word)) for word in words)]

    def environment(self, name: str) -> dict[str, str]:
        """The environment that the compose file gives a service, translated."""
        given = self.services[name].environment
        return {key: self.places.translate(name, value, has_own=False) for key, value in given.items()}

    def configuration(self, name: str) -> Path:
        """The folder of a service's translated configuration."""
        mount = next(mount for mount in self.services[name].mounts if mount.source is not None)
        return self.places.path(name, str(mount.inside))

    def data(self, name: str) -> Path:
        """The folder that stands for a service's volume."""
        mount = next(mount for mount in self.services[name].mounts if mount.volume)
        return self.places.path(name, str(mount.inside))

    def __enter__(self) -> Stack:  # noqa: PYI034  typing.Self is of Python 3.11
        if taken := self.places.taken():
            raise RuntimeError(
                f"somebody listens already on {', '.join(taken)}: a stack that runs, by docker or without?"
            )
        subprocess.run(self.command(FIRST), check=True)
        try:
            self.start(*self.running)
        except BaseException:
            self.stop(*self.running)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, at: TracebackType | None) -> None:
        self.stop(*self.running)

    def start(self, *names: str) -> None:
        """Start services and return when all are healthy."""
        for name in names:
            self.running[name].start()
        for name in names:
            self.running[name].wait_until_healthy()

    def stop(self, *names: str) -> None:
        """Stop services, the last started first."""
        for name in reversed(names):
            self.running[name].stop()

    def kill(self, *names: str) -> None:
        """Kill services without a word of warning."""
        for name in names:
            self.running[name].kill()

    def url(self, name: str, port: int) -> str:
        """The address of a container's port on this machine."""
        return f"http://{self.places.address(name, port)}"

    @property
    def secrets(self) -> Path:
        """The folder with the password of Prometheus and Alertmanager, for those who have to know it."""
        return self.places.path(FIRST, "/run/costspan")

    def headers(self, name: str) -> dict[str, str]:
        """What a service wants to hear with each request: the password, where it asks for one."""
        if not any(word.startswith("--web.config.file=") for word in self.services[name].command):
            return {}
        return {"Authorization": f"Basic {(self.secrets / password.AUTHORIZATION).read_text(encoding='utf-8')}"}

    def query(self, expression: str, at: float | None = None) -> list[dict[str, Any]]:
        """Prometheus' answer to an instant query: one row a series, `metric` and `value`.

        Args:
            expression: PromQL.
            at: seconds since 1970; now by default.
        """
        asked: Mapping[str, object] = {"query": expression, **({} if at is None else {"time": at})}
        answer = self.get("prometheus", 9090, f"/api/v1/query?{urllib.parse.urlencode(asked)}")
        return answer["data"]["result"]

    def value(self, expression: str, at: float | None = None) -> float | None:
        """The value of a query that gives one series, or None where it gives nothing."""
        rows = self.query(expression, at)
        return float(rows[0]["value"][1]) if rows else None

    def notifications(self) -> list[dict[str, Any]]:
        """What Alertmanager sent to the webhook, oldest first."""
        return self.get("webhook", 9095, "/notifications")

    def get(self, name: str, port: int, path: str) -> Any:
        """The JSON that a service answers."""
        return json.loads(self.text(name, port, path))

    def text(self, name: str, port: int, path: str) -> str:
        """The text that a service answers."""
        asked = urllib.request.Request(self.url(name, port) + path, headers=self.headers(name))
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return answer.read().decode()

    def until(self, holds: Callable[[], object], what: str, within_s: float = 60.0) -> None:
        """Wait until something holds, or raise a TimeoutError that says what did not, and where the logs are."""
        until(holds, f"{what}; logs in {self.folder}", within_s)


__all__ = ["HASTE", "PROGRAMS", "ROOT", "Stack"]
