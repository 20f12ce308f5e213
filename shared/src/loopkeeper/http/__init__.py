"""HTTP: what FastAPI needs around a route."""
