# SPDX-License-Identifier: Apache-2.0
"""Attach to a container over a websocket: standard input in pieces, what comes back to standard output.

usage: ws.py SOCKET PATH [bad]
The end is told on standard error: "closed 1000". bad: frames without a mask.
"""
import os
import socket
import struct
import sys

SOCKET, PATH = sys.argv[1:3]
BAD = sys.argv[3:] == ["bad"]
s = socket.socket(socket.AF_UNIX)
s.settimeout(30 * int(os.environ.get("SLOW", "1")))
s.connect(SOCKET)


def frame(opcode, data, fin=True):
    head = bytes([(0x80 if fin else 0) | opcode])
    mask = 0 if BAD else 0x80
    if len(data) < 126:
        head += bytes([mask | len(data)])
    elif len(data) < 65536:
        head += bytes([mask | 126]) + struct.pack(">H", len(data))
    else:
        head += bytes([mask | 127]) + struct.pack(">Q", len(data))
    if BAD:
        return head + data
    key = os.urandom(4)
    return head + key + bytes(b ^ key[i % 4] for i, b in enumerate(data))


data = sys.stdin.buffer.read()
half = len(data) // 2
request = (
    f"GET {PATH} HTTP/1.1\r\nHost: d\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
# the first frame comes with the request; one message in two frames, a ping between them
s.sendall(request.encode() + frame(1, data[:half], False) + frame(9, b"ping") + frame(0, data[half:]))
f = s.makefile("rb")
status = f.readline().decode().strip()
headers = {}
while line := f.readline().decode().strip():
    name, value = line.split(": ", 1)
    headers[name.lower()] = value
if " 101 " not in status:
    sys.exit(f"{status} {f.read(int(headers['content-length'])).decode()}")
# of RFC 6455's example
assert headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", headers
assert headers["upgrade"] == "websocket", headers
while True:
    opcode, size = f.read(2)
    opcode &= 15
    if size == 126:
        (size,) = struct.unpack(">H", f.read(2))
    elif size == 127:
        (size,) = struct.unpack(">Q", f.read(8))
    data = f.read(size)
    if opcode == 8:
        print("closed", *struct.unpack(">H", data), file=sys.stderr)
        break
    if opcode == 10:
        print("pong", data.decode(), file=sys.stderr)
    else:
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
