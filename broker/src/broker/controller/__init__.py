"""The active controller: decides what becomes a record of the metadata log."""
