"""What the stand-in's models say, and how many tokens that is."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

CHARACTERS_PER_TOKEN = 4
TOKENS_PER_MESSAGE = 4
#: OpenAI caches prompts from 1,024 tokens on, in steps of 128; the stand-in is content with shorter ones.
CACHE_STEP = 128
REASONING_TOKENS = 192

#: The name a provider answers with is a dated one.
DATED = {
    "gpt-4o-mini": "gpt-4o-mini-2024-07-18",
    "gpt-5.4-mini": "gpt-5.4-mini-2026-03-17",
    "claude-haiku-4-5": "claude-haiku-4-5-20251001",
}

Json = dict[str, Any]


@dataclass
class Question:
    """What a request asks, whichever API it came by."""

    model: str
    system: str = ""
    asked: str = ""
    tools: list[Json] = field(default_factory=list[Json])
    has_tool_result: bool = False
    input_tokens: int = 0

    @property
    def answering_model(self) -> str:
        return DATED.get(self.model, self.model)

    def add(self, role: str, text: str) -> None:
        """One message of the conversation."""
        self.input_tokens += TOKENS_PER_MESSAGE + tokens(text)
        if role in {"system", "developer"}:
            self.system += text
        elif role == "user" and text:
            self.asked = text
        elif role == "tool":
            self.has_tool_result = True

    def offer(self, tools: list[Json]) -> None:
        """The tools a model may ask for, each as name and schema of its arguments."""
        self.tools = tools
        self.input_tokens += sum(tokens(json.dumps(tool, sort_keys=True)) for tool in tools)


@dataclass
class Answer:
    """What the model says: a text, or the wish to have a tool called."""

    text: str = ""
    tool: str = ""
    arguments: str = ""
    reasoning_tokens: int = 0

    @property
    def output_tokens(self) -> int:
        return tokens(self.text) + tokens(self.tool + self.arguments) + self.reasoning_tokens


def tokens(text: str) -> int:
    """The tokens of a text: one for every four characters begun."""
    return -(-len(text) // CHARACTERS_PER_TOKEN)


def pieces(text: str) -> list[str]:
    """A text in the pieces that a stream sends: one token each."""
    return [text[at : at + CHARACTERS_PER_TOKEN] for at in range(0, len(text), CHARACTERS_PER_TOKEN)]


def answer(question: Question) -> Answer:
    """A tool call where tools are offered and none has answered yet, else a text about the question."""
    reasoning = REASONING_TOKENS if question.model.startswith(("gpt-5", "o1", "o3", "o4")) else 0
    if question.tools and not question.has_tool_result:
        tool = question.tools[0]
        return Answer("", tool["name"], _arguments(tool["schema"], question.asked), reasoning)
    asked = question.asked.strip().rstrip("?.!")
    source = "The record we looked up says" if question.has_tool_result else "Our handbook says"
    text = f"You asked: {asked}. {source} that this is settled within two working days, and that you need do nothing."
    return Answer(text + " Write again if it is not." * (1 + len(asked) % 5), reasoning_tokens=reasoning)


def _arguments(schema: Json, asked: str) -> str:
    """Arguments for a tool: for every property the last word of the question."""
    words = asked.strip().rstrip("?.!").split() or ["?"]
    return json.dumps(dict.fromkeys(schema.get("properties", {}), words[-1]))


def vector(text: str, dimensions: int) -> list[float]:
    """An embedding: numbers between -1 and 1 that depend on the text alone."""
    letters = text.encode() or b"\0"
    return [(letters[at % len(letters)] * (at + 1) % 200 - 100) / 100 for at in range(dimensions)]
