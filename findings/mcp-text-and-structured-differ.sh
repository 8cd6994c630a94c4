#!/usr/bin/env bash
# One result of an MCP tool says two things: its text has keys that its structured content lacks.
#
# Seen with mcp 2.3.0 (pydantic 2.14.4) on Python 3.11. A tool is annotated to return a TypedDict and returns a dict with
# one key more. The client gets no error. The text content, which models read, has the key; structured_content, which
# programs read, is of the declared shape and has lost it.
#
# Output seen:
#   is_error False
#   text: ['page', 'title']
#   structured_content: ['title']
#
# Exit status 0: it is still so. 1: it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet 'mcp==2.3.0' 'pydantic==2.14.4'
cat > "$folder/check.py" <<'PY'
import asyncio
import json

from mcp import Client
from mcp.server import MCPServer
from typing_extensions import TypedDict


class Found(TypedDict):
    title: str


server = MCPServer("notes")


@server.tool()
def find() -> Found:
    note = {"title": "Tides", "page": 3}
    return note


async def main():
    async with Client(server) as client:
        result = await client.call_tool("find", {})
    print("is_error", result.is_error)
    print("text:", sorted(json.loads(result.content[0].text)))
    print("structured_content:", sorted(result.structured_content))


asyncio.run(main())
PY
"$folder/env/bin/python" "$folder/check.py" | tee "$folder/output"
diff "$folder/output" - <<'SEEN'
is_error False
text: ['page', 'title']
structured_content: ['title']
SEEN
