"""Keys and questions to features: the artifact, its sparse autoencoders, and how questions are encoded."""

from s3_retriever.encode.artifact import Artifact, KeyCodec, QueryMap, shipped
from s3_retriever.encode.fingerprint import Fingerprint
from s3_retriever.encode.sae import Codes, Quality, TopKSAE, center_and_normalize

__all__ = [
    "Artifact",
    "Codes",
    "Fingerprint",
    "KeyCodec",
    "Quality",
    "QueryMap",
    "TopKSAE",
    "center_and_normalize",
    "shipped",
]
