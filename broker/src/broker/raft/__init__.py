"""The quorum that agrees on the metadata log (KRaft)."""
