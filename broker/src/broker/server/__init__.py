"""Requests in, responses out, in order: connections, the table of APIs, one handler per API."""
