#!/usr/bin/env bash
# Starlette's 405 names the methods of one route, where a path has a route for each method.
#
# Seen with starlette 1.10.0 on Python 3.11. Two routes have the path /notes, one for GET and one for POST; both work.
# Another method gets 405, and its header Allow has the methods of the first route only, so it says that POST is not
# allowed. RFC 9110 wants the methods that the resource supports. A single route with both methods names both.
#
# Output seen:
#   GET 200, POST 200
#   two routes: PATCH 405, Allow: GET, HEAD
#   one route: PATCH 405, Allow: GET, HEAD, POST
#
# Exit status 0: it is still so. 1: it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet 'starlette==1.10.0' 'httpx==0.28.1'
cat > "$folder/check.py" <<'PY'
import asyncio

import httpx
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route


async def answer(request):
    return PlainTextResponse("here")


async def main():
    two = [Route("/notes", answer, methods=["GET"]), Route("/notes", answer, methods=["POST"])]
    one = [Route("/notes", answer, methods=["GET", "POST"])]
    for name, routes in (("two routes", two), ("one route", one)):
        transport = httpx.ASGITransport(Starlette(routes=routes))
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            if routes is two:
                statuses = (await client.get("/notes")).status_code, (await client.post("/notes")).status_code
                print("GET {}, POST {}".format(*statuses))
            refused = await client.patch("/notes")
            allowed = ", ".join(sorted(refused.headers["allow"].replace(" ", "").split(",")))
            print(f"{name}: PATCH {refused.status_code}, Allow: {allowed}")


asyncio.run(main())
PY
"$folder/env/bin/python" "$folder/check.py" | tee "$folder/output"
diff "$folder/output" - <<'SEEN'
GET 200, POST 200
two routes: PATCH 405, Allow: GET, HEAD
one route: PATCH 405, Allow: GET, HEAD, POST
SEEN
