"""How sparse a host's keys and values are (STA-Attention, arXiv 2512.10547): errors, elbows, perplexity.

:func:`s3_retriever.analysis.analyze.analyze` runs it; :mod:`s3_retriever.analysis.results` is what it gives.
"""
