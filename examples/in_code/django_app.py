"""A Django project in one file: `gunicorn django_app:application`, or `python django_app.py runserver`.

In a project of many files, `costspan.instrument()` stands in `wsgi.py`, `asgi.py` and `manage.py`, and the middleware in
the settings.
"""

import os
import sys
from collections.abc import Callable

import openai
from django.conf import settings
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

import costspan

costspan.instrument()
settings.configure(
    SECRET_KEY=os.environ.get("SECRET_KEY", "only for this example"),
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    MIDDLEWARE=[f"{__name__}.say_who"],
)


def say_who(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Every call within a request is for the conversation that the request names."""

    def middleware(request: HttpRequest) -> HttpResponse:
        with costspan.attribution(session=request.headers.get("x-conversation")):
            return get_response(request)

    return middleware


@costspan.attribution(task_type="support_chat")
def answer(request: HttpRequest) -> HttpResponse:
    """Answer as a whole."""
    asked = [{"role": "user", "content": request.GET["question"]}]
    done = openai.OpenAI().chat.completions.create(model="gpt-4o-mini", messages=asked)
    return HttpResponse(done.choices[0].message.content)


urlpatterns = [path("answer", answer)]
application = get_wsgi_application()

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
