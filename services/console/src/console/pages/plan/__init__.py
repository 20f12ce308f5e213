"""A plan's pages: what it decides, what only it can see to, its terms, its loops."""
