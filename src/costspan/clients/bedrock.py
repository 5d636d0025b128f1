"""AWS's library for Python, as far as models are called with it: Amazon Bedrock, in the form of Converse and in others."""

from __future__ import annotations

from costspan.calls.description import Client, Endpoint
from costspan.clients import bedrock_agents as agents
from costspan.clients import bedrock_body as body
from costspan.clients import bedrock_estimates as estimates
from costspan.clients import bedrock_tools as tools

CLIENT = Client(
    name="bedrock",
    distribution="boto3",
    versions=">=1.38.27,<2",
    module="botocore.client",
    provider="aws.bedrock",
    endpoints=(
        Endpoint("/model/{}/converse", "chat", body.conversed, extras=tools.extras),
        Endpoint(
            "/model/{}/converse-stream",
            "chat",
            body.conversed,
            keeps=tools.telling(body.opened),
            extras=tools.extras,
            shown=estimates.shown,
            prompt=estimates.prompt,
        ),
        Endpoint("/model/{}embed{}/invoke", "embeddings", body.embedded, body.merge),
        Endpoint("/model/{}rerank{}/invoke", "rerank", body.invoked, body.merge),
        Endpoint("/model/{}image{}/invoke", "image_generation", body.invoked, body.merge),
        Endpoint("/model/{}canvas{}/invoke", "image_generation", body.invoked, body.merge),
        Endpoint("/model/{}/invoke", "chat", body.invoked, body.merge, extras=tools.extras),
        Endpoint(
            "/model/{}/invoke-with-response-stream",
            "chat",
            body.invoked,
            body.merge,
            extras=tools.extras,
            shown=estimates.shown,
            prompt=estimates.prompt,
        ),
        Endpoint("/async-invoke", "video_generation", body.unreported),
        Endpoint("/agents/{}/agentAliases/{}/sessions/{}/text", "invoke_agent", agents.traced, agents.add, adds=True),
        Endpoint("/agents/{}", "invoke_agent", agents.traced, agents.add, adds=True),
        Endpoint("/retrieveAndGenerate", "retrieve_and_generate", body.unreported),
        Endpoint("/retrieveAndGenerateStream", "retrieve_and_generate", body.unreported),
    ),
    dialect="botocore",
    uncounted=(
        "/model/{}/invoke-with-bidirectional-stream",
        "/guardrail/{}/version/{}/apply",
        "/guardrail-checks/invoke",
        "/rerank",
        "/knowledgebases/{}/retrieve",
        "/agenticRetrieveStream",
        "/flows/{}/aliases/{}",
        "/flows/{}/aliases/{}/executions",
        "/optimize-prompt",
        "/generateQuery",
    ),
)
