"""Partitions as their leader sees them, and the requests that wait for them."""
