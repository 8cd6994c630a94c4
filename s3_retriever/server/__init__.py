"""An index served: JSON over HTTP, and the Model Context Protocol."""
