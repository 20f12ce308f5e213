"""What the services say to each other, pure: events, their envelope, codes, ids, days, and how a rule is written."""
