"""The ordered log: one port, and its adapters for PostgreSQL and Kafka."""
