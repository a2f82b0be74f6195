"""What a request says: bytes to bodies, bodies to cases, with every fault and its place."""
