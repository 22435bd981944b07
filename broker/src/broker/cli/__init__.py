"""The command line: `main` and one module per script of Kafka's, on what these share.

- `start`, `format`, `random_uuid`   run and prepare a broker
- `topics`, `get_offsets`, `console_producer`, `console_consumer`, `consumer_groups`   the tools of a client
- `options`, `failures`, `tables`    options and settings, failures as one line, columns
- `wire`, `cluster`, `retrying`      one broker on a blocking socket, all of them, "not yet"
- `offsets`, `group_offsets`, `groups`                          questions that several tools ask
- `sender`, `line_reader` | `subscription`, `membership`, `fetcher`, `formatter`   what the two consoles are made of

Every wait has a bound but those for a person's input and for records to come.
"""
