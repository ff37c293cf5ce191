"""How a run goes: `execution` decides what is next, the others do one thing each for it."""
