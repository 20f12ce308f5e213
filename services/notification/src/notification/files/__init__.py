"""Providers' monthly files: the return transmission and the outreach tracking file."""
