"""Connections: the port, its real twin on uvloop and its simulated twin."""
