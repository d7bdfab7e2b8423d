"""Engines: callables from camera pixels to relative depth. `load_engine` picks one by its backend name."""
