"""Whom the box believes: TUF metadata read from a medium, what was learned of it, and which time it is."""
