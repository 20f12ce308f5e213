"""One transaction: a batch of commands is decided and its rows are written."""
