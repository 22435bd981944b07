"""The events of the board: one envelope, one catalog of types, a JSON Schema and a golden sample for each."""
