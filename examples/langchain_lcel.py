"""Ask the Python language reference through a LangChain chain; one small model retrieves and answers.

Run it with ``python examples/langchain_lcel.py`` once ``langchain-s3-retriever`` is installed.
"""

from __future__ import annotations

import textwrap
import time

from langchain_core.documents import Document
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableParallel, RunnablePassthrough

from _corpus import QUESTIONS, TOPICS
from langchain_s3_retriever import ChatS3Host, S3Retriever

PROMPT = ChatPromptTemplate.from_template(
    "{context}\n\nAnswer the question in one sentence, using only the text above.\nQuestion: {question}"
)


def main() -> None:
    """Index, ask, stream the answer, cite."""
    # Documents go in whole: passages are cut when a question is asked, so there is no text splitter.
    start = time.perf_counter()
    documents = [Document(text, id=name, metadata={"source": name}) for name, text in TOPICS.items()]
    retriever = S3Retriever.from_documents(documents, token_budget=256, k=3)
    n_tokens = retriever.core.n_tokens
    print(f"{len(documents)} documents, {n_tokens:,} tokens, indexed in {time.perf_counter() - start:.1f} s")

    # The model that read the documents writes the answers; nothing else is loaded.
    chat = ChatS3Host(host=retriever.host, max_tokens=48)
    print(f"{chat.model_name} retrieves and answers; it is small: check what it says in the passages")

    # The chain gives what was found beside the answer, so that sources can be cited.
    context = {"context": lambda step: "\n\n".join(found.page_content for found in step["found"])}
    answer = RunnablePassthrough.assign(**context) | PROMPT | chat | StrOutputParser()
    chain = RunnableParallel(found=retriever, question=RunnablePassthrough()).assign(answer=answer)

    for question in QUESTIONS:
        start = time.perf_counter()
        print(f"\n{question}\n  ", end="")
        sources = []
        for part in chain.stream(question):  # token by token
            sources += part.get("found", [])
            print(part.get("answer", ""), end="", flush=True)
        print(f"  ({time.perf_counter() - start:.1f} s)")
        for number, source in enumerate(sources, start=1):
            name, score = source.metadata["source"], source.metadata["score"]
            first, last = source.metadata["start_index"], source.metadata["end_index"]
            passage = TOPICS[name][first:last]  # the offsets are exact: this is source.page_content
            print(f"  [{number}] {name}[{first}:{last}], score {score:.2f}")
            print(textwrap.indent(textwrap.fill(passage, 100), "      "))


if __name__ == "__main__":
    main()
