"""Search: scores of cells, BM25, filters, and spans under a token budget. It knows nothing of torch."""
