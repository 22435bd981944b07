"""What a topic may be called. Source: ``Topic.validate``."""

NAME_MAX = 249
CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
CONSUMER_OFFSETS = "__consumer_offsets"
TRANSACTION_STATE = "__transaction_state"
CLUSTER_METADATA = "__cluster_metadata"
# Topics of the cluster itself: clients may read and not write them.
INTERNAL = frozenset({CONSUMER_OFFSETS, TRANSACTION_STATE})


def problem(name: str) -> str | None:
    """What is wrong with a topic's name; None when nothing is."""
    if not name:
        return "Topic name is invalid: the empty string is not allowed"
    if name in (".", ".."):
        return f"Topic name is invalid: '{name}' is not allowed"
    if len(name) > NAME_MAX:
        return f"Topic name is invalid: the length of '{name}' is longer than the max allowed length {NAME_MAX}"
    if not set(name) <= CHARACTERS:
        return f"Topic name is invalid: '{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
    return None
