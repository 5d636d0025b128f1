"""A Celery worker: `celery --app celery_app worker`. A program that asks: `celery_app.answer.delay("...", "anna")`."""

import os

import openai
from celery import Celery

import costspan

costspan.instrument()
app = Celery(broker=os.environ.get("BROKER", "redis://localhost"))


@app.task
def answer(question: str, conversation: str) -> str:
    """Answer as a whole, for a conversation that the message names: a worker knows no other."""
    asked = [{"role": "user", "content": question}]
    with costspan.attribution(session=conversation, task_type="night_shift", source="task_agent"):
        done = openai.OpenAI().chat.completions.create(model="gpt-4o-mini", messages=asked)
    return done.choices[0].message.content
