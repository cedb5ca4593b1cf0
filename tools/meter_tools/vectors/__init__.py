"""Generator of the one vector file that both interpreters, and any other implementation, are held to."""
