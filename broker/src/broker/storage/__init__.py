"""Disk: the port, its real twin and a simulated twin that knows what was fsynced."""
