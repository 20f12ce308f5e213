"""Loopkeeper's story, told by a client that knows the product only by its command line and its HTTP interface."""
