"""The comment service: comments in threads."""
