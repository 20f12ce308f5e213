"""Figures for the state: what is counted of each referral, in which month or quarter, and how it is shown. Pure."""
