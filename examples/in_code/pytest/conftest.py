"""What the LLM calls of a test suite cost, test by test: `pytest`, then `costspan usage --by session --ledger costs.db`."""

from collections.abc import Iterator

import pytest

import costspan


def pytest_configure() -> None:
    """Watch from before the first test module is imported; the ledger lies beside the tests."""
    costspan.instrument(ledger="costs.db", task_type="test")


@pytest.fixture(autouse=True)
def _say_which_test(request: pytest.FixtureRequest) -> Iterator[None]:
    with costspan.attribution(session=request.node.nodeid):
        yield
