"""Tables, what rules must know beyond their own row, and the rows written with it."""
