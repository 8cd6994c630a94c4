"""Needle in a haystack: facts hidden in long texts, and where they are found."""
