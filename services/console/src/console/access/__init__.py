"""Who is there: people, how they prove it, their sessions, and the tokens that speak for them. Pages see `session` alone."""
