"""Measure how much of the recorded traffic a watched client library can send: exchanges with usage, by their paths.

    COSTSPAN_CORPUS=../shared/corpus python scripts/measure_coverage.py

Prints the share, which client libraries have an endpoint for it, and each API that is left over.
"""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any, Final

import recordings
from costspan.clients import CLIENTS
from pages import table

#: LiteLLM's endpoints are its functions, no paths: it sends what others have in this table.
_WITHOUT_PATHS: Final = frozenset({"litellm"})
_DASHSCOPE: Final = "DashScope's own protocol, by its own library, which is not watched"
#: What no watched library sends, and why it is left over.
REASONS: Final = {
    "dashscope.generation": _DASHSCOPE,
    "dashscope.multimodal_generation": _DASHSCOPE,
    "dashscope.rerank": _DASHSCOPE,
    "dashscope.text_embedding": _DASHSCOPE,
    "google.cached_contents": "no answer of a model: a cache is charged by the hour",
    "openrouter.images": "no library sends this path; with an HTTP library it is not of OpenAI's protocol",
    "watsonx.generation": "watsonx's own protocol, by its own library, which is not watched",
}


def senders(exchange: dict[str, Any]) -> list[str]:
    """The watched libraries that have an endpoint at the path of an exchange."""
    path, method = exchange["path"], exchange["method"]
    return [client.name for client in CLIENTS if client.endpoint(path, method) and client.name not in _WITHOUT_PATHS]


def main() -> None:
    """Print the figures."""
    sent: Counter[str] = Counter()
    left: Counter[str] = Counter()
    total = 0
    for exchange in (each for api in recordings.apis() for each in recordings.with_usage(api)):
        total += 1
        names = senders(exchange)
        sent.update(names)
        left.update([] if names else [exchange["api"]])
    rest = sum(left.values())
    print(f"{total} recorded exchanges with usage; {total - rest} can be sent by a watched library, {rest} cannot.")
    print(f"Left over: {100 * rest / total:.1f} %\n")
    print(table(("client library", "exchanges"), [(name, str(number)) for name, number in sent.most_common()]))
    print()
    rows = [(name, str(number), REASONS.get(name, "not looked into")) for name, number in left.most_common()]
    print(table(("API that is left over", "exchanges", "why"), rows))


if __name__ == "__main__":
    sys.exit(main())
