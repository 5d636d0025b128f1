"""The application, asked by its own OpenAPI document: what may be asked, and what may not."""
# Of schemathesis, types are partly unknown:
# pyright: basic

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance, unsupported_method

from costspan.serve.app import build
from costspan.serve.routes import ROUTES
from ledger_calls import call, write

#: A text may be any by its schema, and no time, zone or model by what it says; methods have a test of their own.
_NOT_CHECKED = [positive_data_acceptance, unsupported_method]


#: Bodies in protobuf have tests of their own; of a route without parameters nothing can be mistaken.
_ASKED = [
    pytest.param(route, mode, id=f"{route.method} {route.path} {mode}")
    for route in ROUTES
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    if not route.takes and (mode is GenerationMode.POSITIVE or route.parameters or route.body)
]


@pytest.mark.parametrize(("route", "mode"), _ASKED)
def test_every_answer_is_as_the_document_says(tmp_path: Path, route: Any, mode: Any) -> None:
    """Status, type and form of every answer; no fault of the server's."""
    path = tmp_path / "ledger.db"
    write(path, call())
    document = schemathesis.openapi.from_asgi("/openapi.json", build(path, accepts=True, names=["testserver"]))

    @given(case=document[route.path][route.method].as_strategy(generation_mode=mode))
    @settings(
        max_examples=10,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        database=None,
    )
    def ask(case: Any) -> None:
        case.call_and_validate(excluded_checks=_NOT_CHECKED)

    ask()
