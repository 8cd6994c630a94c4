"""S3 for LlamaIndex: a retriever, and an LLM over the model that it retrieves with."""

from llama_index.retrievers.s3.base import S3Retriever
from llama_index.retrievers.s3.llm import HostLLM
from llama_index.retrievers.s3.postprocessor import IndexedNodePostprocessor
from llama_index.retrievers.s3.settings import S3QueryBundle

__all__ = ["HostLLM", "IndexedNodePostprocessor", "S3QueryBundle", "S3Retriever"]
