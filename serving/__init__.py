"""Online: the service, its store and its answers."""
