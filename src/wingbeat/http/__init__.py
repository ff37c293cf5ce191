"""Edge: what is not an RPC, and the server that carries both."""
