"""The wire protocol: what every message looks like in every version, and how it becomes bytes and comes back.

Reading order:

- `types`     wire types as they are written in a declaration, versions, uuids
- `message`   `Request`, `Response`, `Struct`: a message is declared once, for all its versions
- `messages/` the declarations, one module per API, and the record types of the internal logs
- `codec`     `decode(cls, version, buffer)` and `encode(message, version)`, compiled on first use per class and version
- `headers`   request and response headers
- `api_keys`, `errors`  Kafka's numbers and names

Not here: sockets, frames on a connection (`server.connection`), record batches (`record`).
"""
