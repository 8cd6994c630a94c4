"""Files to documents: a module per format."""
