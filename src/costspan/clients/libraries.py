"""The client libraries that costspan knows by name: those it watches, and those it does not.

Without any import: costspan/cli/starting reads this file in Pythons that have no costspan.
"""

#: The files of this package, and the module of the library for which each is loaded.
WAITED_FOR = {
    "openai": "openai._base_client",
    "anthropic": "anthropic._base_client",
    "groq": "groq._base_client",
    "together": "together._base_client",
    "fireworks": "fireworks._base_client",
    "cerebras": "cerebras.cloud.sdk._base_client",
    "perplexity": "perplexity._base_client",
    "google_genai": "google.genai._api_client",
    "bedrock": "botocore.client",
    "ollama": "ollama._client",
    "mistralai": "mistralai.client.basesdk",
    "litellm": "litellm.main",
    "cohere": "cohere.core.http_client",
    "voyageai": "voyageai.api_resources.api_requestor",
    "huggingface": "huggingface_hub.inference._client",
    "azure_inference": "azure.ai.inference",
    "xai": "xai_sdk.client",
    "claude_agent": "claude_agent_sdk._internal.query",
    "openai_agents": "agents.models.openai_responses",
    "dspy": "dspy._vendor.lm15.transports._sync",
    "langchain_mistralai": "langchain_mistralai.chat_models",
}

#: Where other versions and variants of a library have that module; the first that is imported counts.
OTHER_MODULES = {
    "mistralai": (
        "mistralai.basesdk",  # before 2.0
        "mistralai.azure.client.basesdk",
        "mistralai.gcp.client.basesdk",
        "mistralai_azure.basesdk",
        "mistralai_gcp.basesdk",
    ),
    "huggingface": ("huggingface_hub.inference._generated._async_client",),  # without the other
    "dspy": ("lm15.transports._sync",),  # the library itself
}

#: HTTP libraries, in the same form: watched only where the user says so (OTEL_COSTSPAN_HTTP_CLIENTS).
HTTP_CLIENTS = {
    "httpx": "httpx._client",
    "httpx2": "httpx2._client",
    "requests": "requests.sessions",
    "aiohttp": "aiohttp.client",
}

#: Those whose library calls much else besides LLMs: it is not watched before the first client of one of these services.
SERVICES = {"bedrock": ("bedrock-runtime", "bedrock-agent-runtime")}

#: Libraries that call LLMs and are not watched: the module that a program imports to do so, and the distribution.
NOT_WATCHED = {
    "google.generativeai": "google-generativeai",
    "vertexai.generative_models": "google-cloud-aiplatform",
    "openrouter": "openrouter",
    "replicate": "replicate",
    "ai21": "ai21",
    "dashscope": "dashscope",
    "zhipuai": "zhipuai",
    "zai": "zai-sdk",
    "volcenginesdkarkruntime": "volcengine-python-sdk",
    "ibm_watsonx_ai": "ibm-watsonx-ai",
    "llama_api_client": "llama-api-client",
    "writerai": "writer-sdk",
    "reka": "reka-api",
    "portkey_ai": "portkey-ai",
    "sambanova": "sambanova",
    "gigachat": "gigachat",
    "elevenlabs": "elevenlabs",
    "deepgram": "deepgram-sdk",
    "baml_py": "baml-py",
    # Layers that send by an HTTP library themselves, past the client library of who is asked.
    "langchain_nvidia_ai_endpoints": "langchain-nvidia-ai-endpoints",
}

#: What is to be said of a library beside that it is not watched.
REMARKS: dict[str, str] = {
    "baml-py": "it asks by a core in Rust, which no setting reaches",
    "langchain-nvidia-ai-endpoints": "it asks by requests and aiohttp",
}
