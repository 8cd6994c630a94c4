"""An index where several machines see it: a shared folder, or a prefix of an object storage.

Segments are written by anybody at any time and never change; only a commit makes them part of the index.
"""

from s3_retriever.store.commit import Change, commit
from s3_retriever.store.garbage import collect_garbage
from s3_retriever.store.place import Place, place_of

__all__ = ["Change", "Place", "collect_garbage", "commit", "place_of"]
