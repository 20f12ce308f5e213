"""Plans' decisions, sent as a file."""
