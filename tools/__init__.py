"""Programs that serve the project itself: writing its generated documents."""
