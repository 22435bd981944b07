"""The read-view service: articles with their counts, as events have told of them."""
