"""The command line: one module per script of Kafka's."""
