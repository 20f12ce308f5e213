"""The universal referral form: its elements, what the standard says of them, and which populations they meet."""
