"""The pages of people who are signed in: a file for each noun. Of `access` they know `session` alone."""
