"""LangChain's view of s3_retriever: one language model in memory retrieves, compresses and answers."""

from langchain_s3_retriever.chat_models import ChatS3Host
from langchain_s3_retriever.compressor import S3DocumentCompressor
from langchain_s3_retriever.index import S3DocumentIndex
from langchain_s3_retriever.llms import S3HostLLM
from langchain_s3_retriever.retriever import S3Retriever

__version__ = "0.1.0"

__all__ = ["ChatS3Host", "S3DocumentCompressor", "S3DocumentIndex", "S3HostLLM", "S3Retriever"]
