"""One module per API, each with `handle(request, context, broker)`: a plain function that answers, or arranges an answer."""
