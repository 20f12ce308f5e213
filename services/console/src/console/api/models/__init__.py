"""Written by `make docs` from the services' OpenAPI documents: what their answers look like."""
