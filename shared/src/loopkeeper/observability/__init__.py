"""Traces and metrics of one cause through every service, and how they are shown."""
