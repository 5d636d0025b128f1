"""How a process ends and how it forks: one place for exit handlers, signals and fork handlers."""
