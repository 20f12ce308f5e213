"""The services as the console sees them: HTTP alone, with the person's own token."""
