"""Work that outlives a request: a durable queue in the database and the loop that works it off."""
