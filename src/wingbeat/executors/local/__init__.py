"""Actions as processes of this machine: an agent process that outlives the server, and what it starts."""
