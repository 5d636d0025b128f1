"""A FastAPI application: `uvicorn fastapi_app:app`."""

from collections.abc import AsyncIterator, Awaitable, Callable

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from openai import AsyncOpenAI, AsyncStream

import costspan

costspan.instrument()
app = FastAPI()
client = AsyncOpenAI()


@app.middleware("http")
async def say_who(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Every call within a request is for the conversation and for the customer that the request names."""
    conversation, customer = request.headers.get("x-conversation"), request.headers.get("x-customer")
    with costspan.attribution(session=conversation, account=customer, source="main_agent"):
        return await call_next(request)


@app.exception_handler(costspan.BudgetExceeded)
async def say_no(_: Request, refused: costspan.BudgetExceeded) -> JSONResponse:
    """A hard budget has refused the call before it was sent: the customer gets a 429, the others go on."""
    resets_at = refused.resets_at.isoformat() if refused.resets_at else None
    return JSONResponse({"budget": refused.budget, "customer": refused.value, "resets_at": resets_at}, status_code=429)


@app.get("/answer")
@costspan.attribution(task_type="support_chat")
async def answer(question: str) -> str:
    """Answer as a whole."""
    done = await client.chat.completions.create(**request_for(question))
    return done.choices[0].message.content


@app.get("/stream")
@costspan.attribution(task_type="live_chat")
async def stream(question: str) -> StreamingResponse:
    """Answer as it comes. The call is made before the response begins, so that a refusal can still be a 429."""
    events = await client.chat.completions.create(**request_for(question), stream=True)
    return StreamingResponse(pieces(events), media_type="text/plain")


async def pieces(events: AsyncStream) -> AsyncIterator[str]:
    """The words of an answer."""
    async for event in events:
        yield event.choices[0].delta.content or ""


def request_for(question: str) -> dict:
    """With a limit of output: without one, a hard budget reserves the longest answer of the model."""
    return {"model": "gpt-4o-mini", "max_tokens": 500, "messages": [{"role": "user", "content": question}]}
