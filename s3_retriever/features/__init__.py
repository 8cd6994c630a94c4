"""From key projections to sparse features: the SAE, its training, and the artifact that holds both.

Training (:mod:`s3_retriever.features.train`) is imported from its own module.
"""

from s3_retriever.features.artifact import Artifact, TapCodec, shipped
from s3_retriever.features.probe import Probe
from s3_retriever.features.querycodec import QueryCodec
from s3_retriever.features.sae import Codes, Quality, TopKSAE, center_and_normalize

__all__ = [
    "Artifact",
    "Codes",
    "Probe",
    "Quality",
    "QueryCodec",
    "TapCodec",
    "TopKSAE",
    "center_and_normalize",
    "shipped",
]
