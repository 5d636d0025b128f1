"""The words of an attribution in one table: who a call is for, and the name that each word has outside.

A word is the keyword of `costspan.attribution()`, the word of reports and budgets, the column of the ledger and, in capitals,
the end of its setting. It is spelt once more where the form of a thing asks for it: as a field or a parameter (`Attribution`,
`Settings`, `scope/session.py`), as a constant that OpenTelemetry's launcher reads off `settings.py`, as a column in
`ledger/rows.py` and `ledger/migrations.py` (files that exist are not renamed with a word), and in `budgets.schema.json`.

Without any import and any class: every process that starts reads it.
"""

SESSION = "session"
TASK_TYPE = "task_type"
SOURCE = "source"
TEAM = "team"
ACCOUNT = "account"

#: Values of the source that have a meaning of their own.
MAIN_AGENT = "main_agent"
TASK_AGENT = "task_agent"
HEARTBEAT = "heartbeat"
SOURCES = (MAIN_AGENT, TASK_AGENT, HEARTBEAT)
_SOURCES_SHOWN = ", ".join(f"`{source}`" for source in SOURCES)

#: Each word, in the order of the fields of `Attribution`: its attribute on spans, events, counters and in baggage, what it says.
WORDS = {
    SESSION: ("session.id", "The session: a conversation or run."),
    TASK_TYPE: ("llm.task_type", "What kind of work the call is for."),
    SOURCE: ("llm.source", f"Who initiated the call: {_SOURCES_SHOWN}, or the user's own word."),
    TEAM: ("llm.team", "The team that the call is for."),
    ACCOUNT: ("llm.account", "The account that the usage is billed to. Spans, events and ledger; counters by opt-in."),
}
ATTRIBUTE_OF = {word: attribute for word, (attribute, _) in WORDS.items()}

#: The attributes by which agent frameworks give a word, on spans such as `invoke_agent` and in baggage
#: (https://github.com/open-telemetry/semantic-conventions-genai).
FRAMEWORK_ATTRIBUTES = {SESSION: "gen_ai.conversation.id", TASK_TYPE: "gen_ai.agent.name"}
