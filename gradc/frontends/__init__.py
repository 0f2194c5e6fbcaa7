"""Ways in: what the user wrote, to a Program."""
