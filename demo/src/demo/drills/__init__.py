"""Breaking the running board on purpose, one lesson each: what to expect, what is done, what can be seen, what it meant."""
