"""Configuration: what can be set (`settings`) and where settings come from (`sources`)."""
