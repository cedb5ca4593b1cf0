"""The demo: everything is real but the instruments, and what they show is a measured trace or a generator."""
