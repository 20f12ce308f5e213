"""Outreach and notices, pure."""
