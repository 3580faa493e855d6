"""Backups: make, check, rehearse and restore; nothing of a box lies in them that its keys don't seal."""
