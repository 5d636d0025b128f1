"""Every private name of the OpenTelemetry SDK that costspan uses, and what happens where one has gone."""
