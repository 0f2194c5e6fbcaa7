"""Loop programs and graphs as text."""
