"""What every process needs and no domain knows: failures, clock, settings, tasks, logs, figures, the server."""
