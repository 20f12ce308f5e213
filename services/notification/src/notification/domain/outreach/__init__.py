"""What outreach to a member may do, from the acceptance until the loop is over."""
