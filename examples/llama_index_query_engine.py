"""Ask the Python language reference through LlamaIndex; one small model retrieves and answers.

Run it with ``python examples/llama_index_query_engine.py`` once ``llama-index-retrievers-s3`` is installed.
"""

from __future__ import annotations

import textwrap
import time

from llama_index.core import Document, PromptTemplate
from llama_index.core.query_engine import RetrieverQueryEngine

from _corpus import QUESTIONS, TOPICS
from llama_index.retrievers.s3 import HostLLM, S3Retriever

PROMPT = PromptTemplate(
    "{context_str}\n\nAnswer the question in one sentence, using only the text above.\nQuestion: {query_str}"
)


def main() -> None:
    """Index, ask, cite."""
    # Documents go in whole: passages are cut when a question is asked, so there is no chunk size to choose.
    start = time.perf_counter()
    documents = [Document(id_=name, text=text) for name, text in TOPICS.items()]
    retriever = S3Retriever.from_documents(documents, token_budget=256, similarity_top_k=3)
    n_tokens = retriever.engine.n_tokens
    print(f"{len(documents)} documents, {n_tokens:,} tokens, indexed in {time.perf_counter() - start:.1f} s")

    # The model that read the documents writes the answers; nothing else is loaded.
    llm = HostLLM(retriever.engine.host, max_new_tokens=48)
    engine = RetrieverQueryEngine.from_args(retriever, llm=llm, text_qa_template=PROMPT)
    print(f"{llm.metadata.model_name} retrieves and answers; it is small: check what it says in the passages")

    for question in QUESTIONS:
        start = time.perf_counter()
        response = engine.query(question)
        print(f"\n{question}\n  {response}  ({time.perf_counter() - start:.1f} s)")
        for number, source in enumerate(response.source_nodes, start=1):
            node = source.node
            first, last = node.start_char_idx, node.end_char_idx
            passage = TOPICS[node.ref_doc_id][first:last]  # the offsets are exact: this is source.text
            print(f"  [{number}] {node.ref_doc_id}[{first}:{last}], score {source.score:.2f}")
            print(textwrap.indent(textwrap.fill(passage, 100), "      "))


if __name__ == "__main__":
    main()
