#!/usr/bin/env bash
# A client that ends its side of the connection after its request gets no answer from uvicorn.
#
# Seen with uvicorn 0.54.0 (h11 0.16.0) on Python 3.11, over asyncio. A client sends a whole request and then shuts down
# the direction in which it sends, as `nc -N` does and as TCP allows. An application that takes a moment runs to its end,
# but the connection is closed before its answer is sent. Without the shutdown the answer comes. Python's own
# http.server answers in both cases.
#
# Output seen:
#   uvicorn, open: HTTP/1.1 200 OK
#   uvicorn, half closed: nothing
#   http.server, open: HTTP/1.0 200 OK
#   http.server, half closed: HTTP/1.0 200 OK
#
# Exit status 0: it is still so. 1: it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet 'uvicorn==0.54.0' 'h11==0.16.0'
cat > "$folder/check.py" <<'PY'
import asyncio
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import uvicorn


async def app(scope, receive, send):
    await asyncio.sleep(0.2)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
    await send({"type": "http.response.body", "body": b"here"})


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        time.sleep(0.2)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"here")

    def log_message(self, *what):
        pass


def first_line(port, half_closed):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
        if half_closed:
            client.shutdown(socket.SHUT_WR)
        got = b"".join(iter(lambda: client.recv(1000), b""))
        return got.split(b"\r\n")[0].decode() or "nothing"


config = uvicorn.Config(app, http="h11", loop="asyncio", lifespan="off", log_level="critical")
listener = socket.create_server(("127.0.0.1", 0))
server = uvicorn.Server(config)
threading.Thread(target=server.run, args=([listener],), daemon=True).start()
while not server.started:
    time.sleep(0.01)
plain = HTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=plain.serve_forever, daemon=True).start()
for name, port in (("uvicorn", listener.getsockname()[1]), ("http.server", plain.server_port)):
    for how, half_closed in (("open", False), ("half closed", True)):
        print(f"{name}, {how}: {first_line(port, half_closed)}", flush=True)
server.should_exit = True
PY
"$folder/env/bin/python" "$folder/check.py" | tee "$folder/output"
diff "$folder/output" - <<'SEEN'
uvicorn, open: HTTP/1.1 200 OK
uvicorn, half closed: nothing
http.server, open: HTTP/1.0 200 OK
http.server, half closed: HTTP/1.0 200 OK
SEEN
