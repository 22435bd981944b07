"""A service without any business, on which servicekit is checked and tested."""
