"""The popular service: the ten most popular articles of each day."""
