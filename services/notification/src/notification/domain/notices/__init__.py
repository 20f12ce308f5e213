"""Who is told what, by when, in which words."""
