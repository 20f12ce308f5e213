"""Which statements do the services send, and does any of them cost more as the tables grow?"""
