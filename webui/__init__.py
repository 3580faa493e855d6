"""The web layer: pages, JSON API and API dialects; the only room that knows Flask."""
