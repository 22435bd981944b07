"""The article service: articles and likes."""
