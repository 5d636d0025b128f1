"""Azure's inference library, for models of Azure AI Foundry, GitHub and Azure OpenAI: chat and embeddings, of texts and pictures."""

from __future__ import annotations

from costspan.calls.description import Client, Endpoint
from costspan.clients import estimates, openai_body

CLIENT = Client(
    name="azure_inference",
    distribution="azure-ai-inference",
    versions=">=1.0.0b1,<2",
    module="azure.ai.inference",
    provider="azure.ai.inference",
    endpoints=(
        *estimates.usual(Endpoint("/chat/completions", "chat", openai_body.chat)),
        Endpoint("/embeddings", "embeddings", openai_body.embeddings),  # of pictures, too: `/images/embeddings`
    ),
    dialect="azure_core",
)
