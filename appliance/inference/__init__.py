"""Models on this box: engine contract, catalogue, the supervisor and its children, and the client that leases them."""
