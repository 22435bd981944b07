"""Time: the port, its real twin on the event loop and its simulated twin on a virtual clock."""
