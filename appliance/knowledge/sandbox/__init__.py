"""A throw-away jailed process for each document, forked from a prepared one."""
