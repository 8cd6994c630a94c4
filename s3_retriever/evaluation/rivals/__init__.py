"""What the retriever is compared with."""
