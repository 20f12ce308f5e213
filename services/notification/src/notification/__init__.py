"""Owns outreach, notices and webhooks: who must be told what, with proof."""
