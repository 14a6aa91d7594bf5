"""The API of the pages' example: it does what its caller asks if the `verify` of deploy/docs says so.

`api.py PORT SCOPE`, beside `verify.py`.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

sys.path.insert(0, "")
from verify import verify

PORT, SCOPE = int(sys.argv[1]), sys.argv[2]


class Api(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        try:
            assert scheme == "Bearer", "no bearer token"
            status, answer = 201, verify(token, SCOPE)
        except Exception as error:
            status, answer = 401, {"error": str(error)}
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())


server = HTTPServer(("127.0.0.1", PORT), Api)
print("listening", flush=True)
server.serve_forever()
