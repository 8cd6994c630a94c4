"""The language model: where its weights come from, what is read from it, the streaming scan, answers.

The names offered stand in ``__init__.pyi``. They are imported on first use, so that naming a :class:`Tap`
does not load torch. The scan is in :mod:`s3_retriever.host.scan`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
