"""What is rare and may be recorded of a referral: a file for each noun."""
