"""A provider's pages, phone first: offers, people to reach, an attempt in three taps."""
