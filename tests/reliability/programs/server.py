"""A threaded HTTP server under load: eight clients, a hundred requests each, while the server allocates."""

import hashlib
import http.client
import http.server
import threading


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = "".join(sorted(body.decode() * 50)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


def client(number, port, results):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    digest = hashlib.sha256()
    for request in range(100):
        connection.request("POST", "/", body=f"client {number} request {request}")
        digest.update(connection.getresponse().read())
    results[number] = digest.hexdigest()


server = Server(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
results = {}
clients = [
    threading.Thread(target=client, args=(number, server.server_address[1], results))
    for number in range(8)
]
for thread in clients:
    thread.start()
for thread in clients:
    thread.join()
server.shutdown()
print(hashlib.sha256("".join(results[number] for number in range(8)).encode()).hexdigest())
