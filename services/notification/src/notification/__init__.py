"""Owns outreach, notices and webhooks: who is told what, with proof."""
