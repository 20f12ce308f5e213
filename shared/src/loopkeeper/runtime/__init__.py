"""How services are described, started, observed and run."""
