# SPDX-License-Identifier: Apache-2.0
"""Files of a folder over HTTP and HTTPS, and the registry's search of old, /v1/search.

usage: web.py FOLDER CERTIFICATE KEY PORT TLS_PORT
What was asked for is noted in FOLDER.log.
"""
import http.server
import json
import ssl
import sys
import threading
import urllib.parse

FOLDER, CERT, KEY, PORT, TLS_PORT = sys.argv[1:]
FOUND = [
    {"name": "alpine", "description": "A small one", "star_count": 900, "is_official": True, "is_automated": True},
    {"name": "user/alpine", "description": "", "star_count": 7, "is_official": False, "is_automated": True},
    {"name": "other/alpine", "star_count": 0, "is_official": False},
]


class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    extensions_map = {".tar": "application/x-tar", ".html": "text/html", "": "application/octet-stream"}

    def __init__(self, *args):
        super().__init__(*args, directory=FOLDER)

    def log_message(self, fmt, *args):
        with open(FOLDER + ".log", "a", encoding="ascii") as log:
            print(self.path, self.headers.get("Authorization", "-"), file=log)

    def do_GET(self):
        url = urllib.parse.urlparse(self.path)
        if url.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/root.tar")
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif url.path == "/v1/search":
            query = urllib.parse.parse_qs(url.query)
            if query["q"] == ["broken"]:
                self.answer(200, b"<html>")
            elif query["q"] == ["down"]:
                self.answer(503, b"")
            else:
                found = [f for f in FOUND if query["q"][0] in f["name"]][: int(query["n"][0])]
                self.answer(200, json.dumps({"num_results": len(found), "results": found}).encode())
        else:
            super().do_GET()

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


plain = http.server.ThreadingHTTPServer(("", int(PORT)), Handler)
tls = http.server.ThreadingHTTPServer(("", int(TLS_PORT)), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(CERT, KEY)
tls.socket = context.wrap_socket(tls.socket, server_side=True)
threading.Thread(target=plain.serve_forever, daemon=True).start()
tls.serve_forever()
