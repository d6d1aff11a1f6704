"""The demo teacher: its data, its training, what it can tell apart."""
