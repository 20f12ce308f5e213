"""What moves events: relay, consumer, timers, parked streams, recovery."""
