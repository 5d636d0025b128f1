"""Processes that Prometheus scrapes: a restart on the same host and port is another process."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Final

import pytest

from costspan import names
from costspan.alerting.series import CURRENT_MONTH
from costspan.alerting.spend import this_month
from costspan.cli import destinations
from exits.running import run
from promtools import prometheus

_COST: Final = f"{names.COST_USD.prometheus}{{"
_LABEL: Final = names.prometheus_label(names.PROCESS)


def scraped(home: Path, calls: int) -> list[str]:
    """The cost series that a process serves after so many calls, as Prometheus keeps them: with host and port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    home.mkdir()
    outcome = run(f"scraped {calls}", home, OTEL_METRICS_EXPORTER="prometheus", OTEL_EXPORTER_PROMETHEUS_PORT=str(port))
    assert (outcome.status, outcome.complaints) == (0, "")
    lines = (home / "page").read_text().splitlines()
    return [line.replace("{", '{instance="10.0.0.5:9464",', 1) for line in lines if line.startswith(_COST)]


def usd(series: list[str]) -> float:
    return sum(float(line.rpartition(" ")[2]) for line in series)


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], list[str]]:
    """What a process serves after three calls, and after its restart, which made one."""
    home = tmp_path_factory.mktemp("scraped")
    return scraped(home / "first", 3), scraped(home / "second", 1)


def test_every_start_has_series_of_its_own(lives: tuple[list[str], list[str]]) -> None:
    """Counters begin at zero with each process, so their series must not go on where another's ended."""
    first, second = ({line.rpartition(" ")[0] for line in life} for life in lives)
    assert first
    assert second
    assert not first & second
    assert all(f'{_LABEL}="' in line for line in first | second)


def test_the_month_is_right_over_a_restart(tmp_path: Path, lives: tuple[list[str], list[str]]) -> None:
    """A real Prometheus that scraped both lives on one host and port answers with the spend of both."""
    now_s = int(time.time()) - 600
    samples = [f"# TYPE {_COST[:-1].removesuffix('_total')} counter"]
    for at_s, life in ((now_s - 60, lives[0]), (now_s, lives[1])):
        samples += [f"{line} {at_s}" for line in life]
    period = names.prometheus_label(names.PERIOD)
    month = f'label_replace(vector(1), "{period}", "{time.strftime("%Y%m", time.gmtime())}", "", "")'
    question = this_month(names.COST_USD).replace(CURRENT_MONTH.name, month)
    with prometheus(
        tmp_path, "\n".join(sorted(samples[1:], key=lambda line: line.rpartition(" ")[0]) and samples) + "\n"
    ) as server:
        answer = server.query(question, now_s + 30)
    assert sum(answer.values()) == pytest.approx(usd(lives[0]) + usd(lives[1]))


def test_doctor_says_what_a_scrape_cannot_tell() -> None:
    """Whoever is scraped learns that the last seconds of a process reach no budget."""
    found = list(destinations.instances({"OTEL_METRICS_EXPORTER": "prometheus", "OTEL_SERVICE_NAME": "agent"}))
    assert any("after its last scrape" in each.sentence for each in found)
