"""Reports for the state, built from what was noted of each referral, as previews that only their plan reads whole."""
