"""A Flask application: `flask --app flask_app run`, or under gunicorn."""

import openai
from flask import Flask, request

import costspan

costspan.instrument()
app = Flask(__name__)
client = openai.OpenAI()


@app.get("/answer")
def answer() -> str:
    """Answer as a whole, for the conversation that the request names."""
    asked = [{"role": "user", "content": request.args["question"]}]
    with costspan.attribution(session=request.headers.get("x-conversation"), task_type="support_chat"):
        done = client.chat.completions.create(model="gpt-4o-mini", messages=asked)
    return done.choices[0].message.content
