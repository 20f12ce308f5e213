"""Many referrals at once: a clinic's sheet, a program's batch."""
