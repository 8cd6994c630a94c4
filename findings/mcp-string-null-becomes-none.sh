#!/usr/bin/env bash
# A tool of MCP's Python SDK gets None for the string "null", and refuses the string "[7]" as no string.
#
# Seen with mcp 2.3.0 (pydantic 2.14.4) on Python 3.11. Where an argument is annotated as anything but plain str, MCPServer
# reads a string of JSON as JSON before it checks the type, for the sake of clients that send objects as strings.
# `str | None`, the usual way to write an optional string, is among these, though its schema allows strings. So the text
# "null" arrives as no argument at all, without an error, and "[7]" or '{"a": 1}' as a list or a dict, which is then
# refused as not a string. "12" and "true" stay strings. A cursor `after: str | None` whose value is the id "null" starts
# anew, and a client that asks for page after page never ends. Plain `str`, with "" for none, takes all strings,
# and so does Annotated[str, Field(...)]. The SDK's issue 381 is about the refusals, and is open.
#
# Output seen:
#   schema of optional: [{'type': 'string'}, {'type': 'null'}]
#   'null': optional None, plain 'null'
#   '[7]': optional refused, plain '[7]'
#   '{"a": 1}': optional refused, plain '{"a": 1}'
#   '12': optional '12', plain '12'
#   'true': optional 'true', plain 'true'
#
# Exit status 0: it is still so. 1: it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet 'mcp==2.3.0' 'pydantic==2.14.4'
cat > "$folder/run.py" <<'PY'
import asyncio

from mcp.client import Client
from mcp.server.mcpserver import MCPServer

server = MCPServer("shelf", log_level="CRITICAL")


@server.tool()
def optional(after: str | None = None) -> str:
    return repr(after)


@server.tool()
def plain(after: str = "") -> str:
    return repr(after)


async def main():
    async with Client(server) as client:
        (tool,) = [tool for tool in (await client.list_tools()).tools if tool.name == "optional"]
        print(f"schema of optional: {tool.input_schema['properties']['after']['anyOf']}")
        for value in ("null", "[7]", '{"a": 1}', "12", "true"):
            results = []
            for name in ("optional", "plain"):
                result = await client.call_tool(name, {"after": value})
                results.append(f"{name} {'refused' if result.is_error else result.content[0].text}")
            print(f"{value!r}: {', '.join(results)}")


asyncio.run(main())
PY
seen=$("$folder/venv/bin/python" "$folder/run.py" 2> "$folder/log") || { tail -5 "$folder/log"; exit 1; }
echo "$seen"
expected="schema of optional: [{'type': 'string'}, {'type': 'null'}]
'null': optional None, plain 'null'
'[7]': optional refused, plain '[7]'
'{\"a\": 1}': optional refused, plain '{\"a\": 1}'
'12': optional '12', plain '12'
'true': optional 'true', plain 'true'"
[ "$seen" = "$expected" ]
