"""The embedded run of the board: supervisor, seed data, load generator, and the checks from outside."""
