"""The routes, one file per resource, and what each reader sees."""
