#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# A receiver of log records. What arrives is written to OUT, a line each, as it is (datagrams, lines of
# streams) or, for fluentd's forward protocol and GELF, as JSON. "ready" on standard output once it
# listens.
# usage: receiver.py KIND ADDRESS OUT [CERT KEY]
#   KIND: udp tcp tls unixgram fluentd gelf-udp gelf-tcp journald; ADDRESS: port, or a socket's path
import json
import os
import socket
import ssl
import struct
import sys
import threading
import zlib


class MessagePack:
    """What the forward protocol is made of; EOFError when more is needed."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        if self.at + n > len(self.data):
            raise EOFError
        self.at += n
        return self.data[self.at - n : self.at]

    def number(self, n):
        return int.from_bytes(self.take(n), "big")

    def value(self):
        t = self.number(1)
        if t < 0x80:
            return t
        if t < 0x90:
            return self.map(t & 0xF)
        if t < 0xA0:
            return [self.value() for _ in range(t & 0xF)]
        if t < 0xC0:
            return self.take(t & 0x1F).decode()
        if t in (0xD9, 0xDA, 0xDB):
            return self.take(self.number(1 << (t - 0xD9))).decode()
        if t == 0xCE:
            return self.number(4)
        if t == 0xD7:
            assert self.number(1) == 0
            return "%d.%09d" % struct.unpack(">II", self.take(8))
        if t == 0xDE:
            return self.map(self.number(2))
        raise ValueError("type %#x" % t)

    def map(self, n):
        return {self.value(): self.value() for _ in range(n)}


def journal_fields(data):
    fields, at = {}, 0
    while at < len(data):
        end = data.index(b"\n", at)
        name, eq, value = data[at:end].partition(b"=")
        if eq:
            at = end + 1
        else:
            (size,) = struct.unpack_from("<Q", data, end + 1)
            value, at = data[end + 9 : end + 9 + size], end + 9 + size + 1
        fields[name.decode()] = value.decode()
    return fields


class Receiver:
    def __init__(self, kind, out):
        self.kind, self.out, self.lock, self.chunks = kind, out, threading.Lock(), {}

    def put(self, record):
        if not isinstance(record, bytes):
            record = json.dumps(record, sort_keys=True).encode()
        with self.lock:
            os.write(self.out, record.rstrip(b"\n") + b"\n")

    def datagram(self, data):
        if self.kind == "journald":
            return self.put(journal_fields(data))
        if self.kind != "gelf-udp":
            return self.put(data)
        if data[:2] == b"\x1e\x0f":
            message, at, n = data[2:10], data[10], data[11]
            parts = self.chunks.setdefault(message, {})
            parts[at] = data[12:]
            if len(parts) < n:
                return None
            data = b"".join(parts[i] for i in range(n))
        if data[:1] != b"{":
            data = zlib.decompress(data, 47)
        return self.put(json.loads(data))

    def stream(self, conn):
        data = b""
        while more := conn.recv(65536):
            data += more
            if self.kind == "fluentd":
                data = self.messages(data)
                continue
            *whole, data = data.split(b"\0" if self.kind == "gelf-tcp" else b"\n")
            for record in whole:
                self.put(json.loads(record) if self.kind == "gelf-tcp" else record)

    def messages(self, data):
        reader = MessagePack(data)
        try:
            while True:
                done = reader.at
                self.put(reader.value())
        except EOFError:
            return data[done:]


def main():
    kind, address, path = sys.argv[1:4]
    receiver = Receiver(kind, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
    datagrams = kind in ("udp", "unixgram", "gelf-udp", "journald")
    local = address.startswith("/")
    sock = socket.socket(
        socket.AF_UNIX if local else socket.AF_INET,
        socket.SOCK_DGRAM if datagrams else socket.SOCK_STREAM,
    )
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(address if local else ("127.0.0.1", int(address)))
    if not datagrams:
        sock.listen(16)
    print("ready", flush=True)
    while True:
        if datagrams:
            receiver.datagram(sock.recv(1 << 20))
            continue
        conn, _ = sock.accept()
        if kind == "tls":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*sys.argv[4:6])
            try:
                conn = context.wrap_socket(conn, server_side=True)
            except OSError:
                continue
        threading.Thread(target=receiver.stream, args=(conn,), daemon=True).start()


main()
