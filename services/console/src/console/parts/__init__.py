"""What pages are made of: functions from values to elements."""
