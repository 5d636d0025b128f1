"""A pod into which the OpenTelemetry operator puts costspan: its packages, its variables, a program that knows of nothing."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from stack import Stack
from stack.compose import ROOT

from cluster import Cluster
from provider import Provider
from stack_clients import needing_programs

#: Where the operator mounts what it copied, and how it leads the interpreter there (its internal/instrumentation/python.go).
MOUNTED: Final = "otel-auto-instrumentation-python"
APP: Final = """
import importlib.util, sys, openai
assert "site-packages" not in importlib.util.find_spec("costspan").origin, "costspan is to be the injected one"
with openai.OpenAI() as client:
    client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "How are you?"}])
"""
UV: Final = str(Path(sys.executable).parent / "uv")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Collector and Prometheus."""
    made = needing_programs(lambda: Stack(tmp_path_factory.mktemp("stack"), only=["collector", "prometheus"]))
    with made:
        yield made


@pytest.fixture(scope="module")
def pod(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A container's files: a Python with the program's own packages, and the volume that the init container filled."""
    folder = tmp_path_factory.mktemp("pod")
    dockerfile = (ROOT / "stack" / "kubernetes" / "injection" / "Dockerfile").read_text(encoding="utf-8")
    pattern = r'^ARG COSTSPAN=(.+)\nRUN pip install --no-cache-dir --target /autoinstrumentation "\$COSTSPAN"$'
    (words,) = re.findall(pattern, dockerfile, re.MULTILINE)
    known = ["--constraint", str(ROOT / "requirements.lock")]
    image = folder / "autoinstrumentation"
    install(*known, "--no-build-isolation", "--python", sys.executable, "--target", str(image), *words.split())
    shutil.move(image, folder / MOUNTED)
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, str(folder / "own")], check=True)
    install(*known, "--python", str(folder / "own"), "openai")
    return folder


def install(*words: str) -> None:
    subprocess.run([UV, "pip", "install", "--quiet", *words], cwd=ROOT, check=True)


def variables(cluster: Cluster, pod: Path) -> dict[str, str]:
    """What the container has: its own variables, those of the Instrumentation, and what the operator adds to each pod."""
    spec = cluster.find("Instrumentation", "costspan")["spec"]
    (container,) = cluster.pods()["support-desk"]["containers"]
    mounted = pod / MOUNTED
    return {
        "HOME": str(pod),
        "OTEL_EXPORTER_OTLP_ENDPOINT": spec["exporter"]["endpoint"],
        "OTEL_PROPAGATORS": ",".join(spec["propagators"]),
        "OTEL_SERVICE_NAME": "support-desk",
        "OTEL_RESOURCE_ATTRIBUTES": "k8s.namespace.name=support-desk,service.instance.id=support-desk.pod-1.support-desk",
        "PYTHONPATH": f"{mounted}/opentelemetry/instrumentation/auto_instrumentation:{mounted}",
        **{each["name"]: each["value"] for each in spec["python"]["env"]},
        **cluster.environment(container),
    }


def test_an_injected_program_is_priced_and_none_of_its_restarts_is_lost(
    stack: Stack, pod: Path, tmp_path: Path
) -> None:
    """A program without a word of costspan; the operator gives each container of a pod one instance id for its whole life."""
    cluster = needing_programs(lambda: Cluster(tmp_path / "cluster", {}))
    (pod / "app.py").write_text(APP)
    starts = 3
    with Provider() as provider:
        own = {
            "OPENAI_BASE_URL": f"{provider.url}/v1",
            "OPENAI_API_KEY": "none",
            "OTEL_COSTSPAN_HOSTS": "127.0.0.1=vendor",
        }
        environment = variables(cluster, pod) | own | {"OTEL_EXPORTER_OTLP_ENDPOINT": stack.url("collector", 4318)}
        for _ in range(starts):
            command = [str(pod / "own" / "bin" / "python"), "app.py"]
            done = subprocess.run(
                command, cwd=pod, env=environment, capture_output=True, text=True, check=False, timeout=120
            )
            assert done.returncode == 0, done.stderr
    counted = 'sum(last_over_time(llm_requests_total{job="support-desk",llm_team="support"}[1h]))'
    stack.until(lambda: stack.value(counted) == starts, f"{starts} calls are to be counted")
    spent = stack.value('sum(last_over_time(llm_cost_usd_total{job="support-desk",llm_team="support"}[1h]))')
    assert spent is not None
    assert spent > 0
