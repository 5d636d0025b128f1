"""LangChain's package for Mistral, which sends by httpx itself, past Mistral's library.

Its embeddings are made within functions of its own that tell no usage: they are named, not counted.
"""

from __future__ import annotations

from costspan.calls.description import Client, Endpoint
from costspan.clients import estimates, openai_body

CLIENT = Client(
    name="langchain_mistralai",
    distribution="langchain-mistralai",
    versions=">=1,<2",
    module="langchain_mistralai.chat_models",
    provider="mistral_ai",
    endpoints=estimates.usual(Endpoint("/chat/completions", "chat", openai_body.chat)),
    dialect="langchain_mistral",
    uncounted_functions=tuple(
        (name, "langchain_mistralai.embeddings", f"MistralAIEmbeddings.{name}")
        for name in ("embed_documents", "aembed_documents")
    ),
)
