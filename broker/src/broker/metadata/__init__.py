"""What the cluster agrees on: the record types' frames, the immutable image, and its publication."""
