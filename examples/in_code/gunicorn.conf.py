"""Workers that fork, with the application loaded before: `gunicorn flask_app:app`, with this file in the same place.

The application starts costspan by itself. One that is not to be touched is started here:

    import costspan
    costspan.instrument()
"""

preload_app = True
workers = 2
