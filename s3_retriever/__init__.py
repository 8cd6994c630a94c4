"""A language model that is its own retriever.

Documents stream through a host LLM once; the keys of a few attention heads become sparse features in an
inverted index; a question's queries find the spans the model's attention would look for.

The names offered stand in ``__init__.pyi``. They are imported on first use, so that ``import s3_retriever``
does not load torch.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
