"""Learning for a host: which heads to read, how they ask, and the sparse autoencoders of their keys."""
