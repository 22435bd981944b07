"""The composition root: one broker from its parts, and the order in which they start and stop."""
