"""How a notice leaves: leases, signed webhooks, guarded addresses, forwarding, waiting readers."""
