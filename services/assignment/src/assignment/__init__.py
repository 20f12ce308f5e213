"""Owns the provider directory and the assignment of a referral."""
