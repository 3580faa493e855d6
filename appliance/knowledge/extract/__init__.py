"""Readers of documents, one module per format; they run inside the sandboxed child."""
