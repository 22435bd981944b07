"""The outbox: events are written in the transaction that changes the rows, and sent afterwards by the relay."""
