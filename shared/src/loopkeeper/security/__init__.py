"""Who calls, and how identity is sealed."""
