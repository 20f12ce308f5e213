"""What intake does without being asked: nothing yet needs a deadline here; overdue facts come from others."""
