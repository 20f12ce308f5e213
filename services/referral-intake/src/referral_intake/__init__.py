"""Owns the referral: receives it, screens it, closes its loop."""
