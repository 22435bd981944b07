"""board-broker: a broker cluster in Python that speaks the Kafka wire protocol and keeps Kafka's file formats.

The layers, from the entry points down to the ground, are listed in ARCHITECTURE.md and enforced by import-linter.
"""

__version__ = "0.1.0"
