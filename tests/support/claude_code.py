"""In place of Claude's CLI: speaks its protocol of JSON lines with the agent SDK, and says what a file tells it to, turn by turn."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    """Answer the SDK's requests, and each prompt with the messages of the next turn."""
    turns: list[list[dict[str, Any]]] = json.loads(Path(os.environ["CLAUDE_TURNS"]).read_text())
    for line in sys.stdin:
        said = json.loads(line)
        if said["type"] == "control_request":
            answer: dict[str, Any] = {
                "subtype": "success",
                "request_id": said["request_id"],
                "response": {"commands": []},
            }
            _say({"type": "control_response", "response": answer})
        elif said["type"] == "user":
            for message in turns.pop(0):
                _say(message)


def _say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
