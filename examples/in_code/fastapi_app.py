"""A FastAPI application: `uvicorn fastapi_app:app`."""

from collections.abc import AsyncIterator, Awaitable, Callable

from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from openai import AsyncOpenAI

import costspan

costspan.instrument()
app = FastAPI()
client = AsyncOpenAI()


@app.middleware("http")
async def say_who(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Every call within a request is for the conversation that the request names."""
    with costspan.attribution(session=request.headers.get("x-conversation"), source="main_agent"):
        return await call_next(request)


@app.get("/answer")
@costspan.attribution(task_type="support_chat")
async def answer(question: str) -> str:
    """Answer as a whole."""
    asked = [{"role": "user", "content": question}]
    done = await client.chat.completions.create(model="gpt-4o-mini", messages=asked)
    return done.choices[0].message.content


@app.get("/stream")
async def stream(question: str) -> StreamingResponse:
    """Answer as it comes: the call is made while the response is sent, for the same conversation."""
    return StreamingResponse(pieces(question), media_type="text/plain")


@costspan.attribution(task_type="live_chat")
async def pieces(question: str) -> AsyncIterator[str]:
    """The words of an answer."""
    asked = [{"role": "user", "content": question}]
    async for event in await client.chat.completions.create(model="gpt-4o-mini", messages=asked, stream=True):
        yield event.choices[0].delta.content or ""
