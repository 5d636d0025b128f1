"""A fresh process in a contender's environment, whose answer is one line of JSON."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any, Final

from benchmarks.contenders import ROOT, Contender
from benchmarks.environments import python_of

# Whatever the user's shell says about telemetry must not reach the contenders.
_FOREIGN: Final = ("OTEL_", "TRACELOOP_", "LANGFUSE_", "LOGFIRE_", "OPENAI_", "ANTHROPIC_", "AGENTOPS_", "LITELLM_")
_QUIET: Final = {
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "true",
    "TRACELOOP_TELEMETRY": "false",
}


def environment_of(contender: Contender, scratch: str, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment variables of a contender's process; `{scratch}` in a value is a folder that goes away."""
    own = {name: value.format(scratch=scratch) for name, value in contender.variables.items()}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    return {**kept, **_QUIET, **own, **(more or {})}


def run_in_environment(
    contender: Contender,
    module: str,
    *arguments: str,
    environment: str | None = None,
    before: Sequence[str] = (),
    variables: Mapping[str, str] | None = None,
    timeout_s: float = 300,
) -> subprocess.CompletedProcess[str]:
    """Run a module of the benchmark in a contender's environment; `before` stands in front of the command."""
    python = str(python_of(environment or contender.environment))
    with tempfile.TemporaryDirectory() as scratch:
        return subprocess.run(
            [*before, python, "-m", module, *arguments],
            cwd=ROOT, env=environment_of(contender, scratch, variables),
            capture_output=True, text=True, timeout=timeout_s, check=False,
        )  # fmt: skip


def ask(contender: Contender, module: str, *arguments: str, timeout_s: float = 300, **more: Any) -> dict[str, Any]:
    """The same for a module that answers in a line of JSON; `{"fault": what it said}` where it does not."""
    try:
        return answer_in(run_in_environment(contender, module, *arguments, timeout_s=timeout_s, **more))
    except subprocess.TimeoutExpired:
        return {"fault": f"no answer within {timeout_s:.0f} s"}


def answer_in(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The line of JSON in what a process printed."""
    for line in done.stdout.splitlines():
        if line.startswith("RESULT "):
            return json.loads(line.removeprefix("RESULT "))
    return {"fault": (done.stderr or done.stdout or f"exit status {done.returncode}")[-400:]}
