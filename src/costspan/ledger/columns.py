"""The words by which the ledger is asked, and what each of them means in its `calls`."""

from __future__ import annotations

from typing import Final

from costspan.facts import cost_items
from costspan.facts.attribution_words import WORDS

#: Whether a record is a call: what else costs money (facts/cost_items.py) is no request.
IS_CALL: Final = f"client IS NOT '{cost_items.CLIENT}'"

#: A word and the SQL that it stands for.
COLUMNS: Final = {
    **{word: word for word in WORDS},
    "provider": "provider",
    # The one asked for, as in budgets, counters and panels; answers fetched by an older version have none.
    "model": "COALESCE(request_model, response_model)",
    "answered_model": "response_model",
    # Of an item that is no call; its instance is its model, too.
    "kind": f"CASE WHEN {IS_CALL} THEN '{cost_items.CALL}' ELSE operation END",
    "instance": f"CASE WHEN NOT ({IS_CALL}) THEN request_model END",
    "client": "client",
    "operation": "operation",
    "outcome": "outcome",
    "quality": "CASE WHEN unpriced_reason IS NOT NULL THEN 'unpriced' ELSE quality END",
    "unpriced_reason": "unpriced_reason",
}
