"""The same questions to one LlamaIndex query engine with two retrievers: S3, and an embedding model.

    python examples/compare_with_bge.py                     # BGE from the hub, else E5 from a PyPI wheel
    python examples/compare_with_bge.py --embedding FOLDER  # BGE from a folder, or another name on the hub

Both retrievers get the same documents, questions, budget of tokens, prompt and answering model. A few
questions, chosen because the small model answers them from what S3 finds, show how the two differ, not which
is better; for that there is ``make bench``.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from llama_index.core import Document, PromptTemplate, QueryBundle, VectorStoreIndex
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.query_engine import RetrieverQueryEngine
from transformers import AutoModel, AutoTokenizer

from _corpus import QUESTIONS, TOPICS
from llama_index.retrievers.s3 import HostLLM, S3Retriever
from s3_retriever import Host
from s3_retriever.errors import HostNotFoundError
from s3_retriever.evaluation.rivals.e5 import E5, NAME
from s3_retriever.evaluation.rivals.embeddings import Embedder
from s3_retriever.host.weights import quiet_transformers, resolve_host

BGE = "BAAI/bge-small-en-v1.5"
CHUNK = 128  # tokens of the host; an embedding retriever needs chunks cut beforehand

PROMPT = PromptTemplate(
    "{context_str}\n\nAnswer the question in one sentence, using only the text above.\nQuestion: {query_str}"
)


class Bge:
    """A BGE model, used as its card says: the state of the first token, an instruction before questions."""

    instruction = "Represent this sentence for searching relevant passages: "

    def __init__(self, folder: Path) -> None:
        safely = {"local_files_only": True, "trust_remote_code": False}
        self._tokenizer = AutoTokenizer.from_pretrained(folder, **safely)
        with quiet_transformers():
            self._model = AutoModel.from_pretrained(folder, **safely).eval()

    @torch.inference_mode()
    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Return the unit vectors of passages, float32 (n, d)."""
        inputs = self._tokenizer(
            list(texts), return_tensors="pt", padding=True, truncation=True, max_length=512
        )
        firsts = self._model(**inputs).last_hidden_state[:, 0].float()
        return torch.nn.functional.normalize(firsts, dim=1).numpy()

    def embed_question(self, text: str) -> np.ndarray:
        """Return the unit vector of a question, float32 (d,)."""
        return self.embed([self.instruction + text])[0]


def find_embedding(wanted: str | None) -> tuple[str, Embedder]:
    """Load the model that was asked for; by default BGE, and E5 where the hub cannot be reached."""
    try:
        found = resolve_host(wanted or BGE)  # folders and hub names are looked up as those of hosts are
    except HostNotFoundError:
        if wanted is not None:
            raise
        return NAME, E5.load()
    return found.name, Bge(found.folder)


class RivalEmbedding(BaseEmbedding):
    """An embedding model for LlamaIndex."""

    _model: Embedder = PrivateAttr()

    def __init__(self, name: str, model: Embedder) -> None:
        super().__init__(model_name=name, embed_batch_size=32)
        self._model = model

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        vectors: list[list[float]] = self._model.embed(texts).tolist()
        return vectors

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_query_embedding(self, query: str) -> list[float]:
        vector: list[float] = self._model.embed_question(query).tolist()
        return vector

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_query_embedding(query)


def main() -> int:
    """Index twice, ask both, print side by side."""
    parser = argparse.ArgumentParser(description="Compare S3 with an embedding retriever in LlamaIndex.")
    parser.add_argument("--embedding", help=f"folder or hub name of a model that is used as {BGE} is")
    parser.add_argument("--token-budget", type=int, default=256, help="tokens of passages per question")
    arguments = parser.parse_args()
    try:
        name, model = find_embedding(arguments.embedding)
    except HostNotFoundError as error:
        missing = arguments.embedding or f"{BGE}, nor E5 in its place"
        print(f"cannot get {missing}: {error}; or name a folder with --embedding", file=sys.stderr)
        return 2
    embedding = RivalEmbedding(name, model)
    host = Host.load()
    llm = HostLLM(host, max_new_tokens=48)
    documents = [Document(id_=name, text=text) for name, text in TOPICS.items()]
    print(f"embedding model: {name}; S3's host and both engines' LLM: {host.name}")
    print(f"{len(documents)} documents, {arguments.token_budget} tokens of passages per question")

    start = time.perf_counter()
    s3 = S3Retriever.from_documents(documents, host=host, token_budget=arguments.token_budget)
    print(f"S3 indexed them whole in {time.perf_counter() - start:.1f} s")

    # Chunks are measured with the host's tokenizer, so that both retrievers spend the same tokens.
    start = time.perf_counter()
    splitter = SentenceSplitter(
        chunk_size=CHUNK,
        chunk_overlap=16,
        include_metadata=False,
        tokenizer=lambda text: host.encode(text).ids,
    )
    index = VectorStoreIndex.from_documents(documents, embed_model=embedding, transformations=[splitter])
    dense = index.as_retriever(similarity_top_k=max(1, arguments.token_budget // CHUNK))
    print(f"{name} embedded {len(index.docstore.docs)} chunks in {time.perf_counter() - start:.1f} s")

    retrievers: dict[str, BaseRetriever] = {"S3": s3, name: dense}
    for question in QUESTIONS:
        print(f"\n{question}")
        for by, retriever in retrievers.items():
            engine = RetrieverQueryEngine.from_args(retriever, llm=llm, text_qa_template=PROMPT)
            start = time.perf_counter()
            found = engine.retrieve(QueryBundle(question))
            retrieved = time.perf_counter()
            answer = engine.synthesize(QueryBundle(question), found)
            answered = time.perf_counter()
            tokens = sum(len(host.encode(one.text).ids) for one in found)
            spent = f"{tokens} tokens found in {1000 * (retrieved - start):.0f} ms"
            print(f"  {by}: {spent}, answered in {answered - retrieved:.1f} s: {answer}")
            for one in found:
                node = one.node
                print(f"    {node.ref_doc_id}[{node.start_char_idx}:{node.end_char_idx}], {one.score:.2f}")
                print(textwrap.indent(textwrap.fill(one.text, 100), "      "))
    return 0


if __name__ == "__main__":
    sys.exit(main())
