"""What the tests index and ask."""

from __future__ import annotations

from collections.abc import Callable

from langchain_core.documents import Document

from langchain_s3_retriever import S3Retriever
from s3_retriever import RetrieverConfig, ScanConfig

CONFIG = RetrieverConfig(scan=ScanConfig(chunk_tokens=128, overlap_tokens=16, batch_tokens=512))
QUESTION = "Where does the lighthouse keeper store the oil?"

DOCUMENTS = [
    Document(
        id="harbour",
        page_content="The harbour was quiet. " * 20 + "The lighthouse keeper stores the oil in the cellar.",
        metadata={"source": "harbour.txt", "lang": "en", "year": 1901, "tags": ["sea", "oil"]},
    ),
    Document(
        id="bakery",
        page_content="Bread is baked at four in the morning. The baker sings. " * 8,
        metadata={"source": "bakery.txt", "lang": "en", "year": 1950},
    ),
    Document(
        id="fyr",
        page_content="Fyrvokteren oppbevarer oljen i kjelleren. " * 6,
        metadata={"source": "fyr.txt", "lang": "no", "year": 1923, "tags": ["sea"]},
    ),
    Document(
        id="ugly",
        page_content="A\u0301 keeper 🧑‍🚀🇳🇴 灯台守は油を地下室に保管する。\r\n\u2028 lighthouse\u200b oil "
        * 5,
        metadata={"source": "ugly.txt", "lang": None},
    ),
]

Make = Callable[..., S3Retriever]

CHAT_TEMPLATE = (
    "{% for message in messages %}<{{ message['role'] }}>{{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
