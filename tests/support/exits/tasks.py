"""A Celery application whose task calls a provider; the queue is a folder."""
# pyright: basic
# Celery has no types.

from __future__ import annotations

import os
from typing import Any

import celery
from program import call

folder = os.environ["QUEUE"]
app: Any = celery.Celery("tasks", broker="filesystem://")
app.conf.update(
    broker_transport_options={"data_folder_in": folder, "data_folder_out": folder, "control_folder": folder},
    worker_prefetch_multiplier=1,
    worker_enable_remote_control=False,
    worker_redirect_stdouts=False,
)
call()


@app.task
def work() -> None:
    """One task."""
    call()
    print("called", flush=True)
