"""Whole loops by the thousand: rules, reactions and deadlines of the four services under one clock and one chance."""
