"""What happens beside the usual way, and may be recorded of a referral: a file for each noun."""
