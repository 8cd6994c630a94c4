"""A run as tables on the terminal and as one self-contained page."""
