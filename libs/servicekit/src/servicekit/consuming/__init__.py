"""Consuming events into a projection: every effect and the position behind it in one transaction, and what to do in trouble."""
