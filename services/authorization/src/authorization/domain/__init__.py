"""The rules, pure: state, commands, what they decide and how events change it."""
