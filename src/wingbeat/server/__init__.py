"""The composition root: settings become a running server. Nothing below knows where anything comes from."""
