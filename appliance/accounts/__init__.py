"""People of the box: accounts, roles, sessions, API keys, throttle."""
