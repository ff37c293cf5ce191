"""Edge: one file per proto service, and what lies between the HTTP server and a service's method."""
