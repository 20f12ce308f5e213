"""A referrer's pages: refer on one page, answer what is asked, hear what came of it."""
