"""Checks of the box: what it keeps and does. Plain ones need neither keys nor the database; others need it open."""
