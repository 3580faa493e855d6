"""The keys of the box: their process and its client, wrapping, sealed files; alone with cryptography."""
