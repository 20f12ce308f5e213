"""Owns the authorization: presumptive grants, reviews, terms."""
