"""The tests: one package, so that none that a library brings along takes its name."""
