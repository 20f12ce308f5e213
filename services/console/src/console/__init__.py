"""Loopkeeper's web pages: for people who refer, decide, serve and operate."""
