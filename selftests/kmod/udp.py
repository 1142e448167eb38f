#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Many flows of UDP with little work for the machine.

usage: udp.py serve PORT            answer every datagram with itself
       udp.py flood SECONDS HOST:PORT...
A flood is a socket after the other, each with a port of its own, eight datagrams to every host;
prints "SENT ANSWERED" at the end.
"""
import socket
import sys
import time


def serve(port):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("0.0.0.0", port))
    while True:
        data, peer = s.recvfrom(65536)
        try:
            s.sendto(data, peer)
        except OSError:
            pass  # the way back is being taken away


def drain(s):
    n = 0
    try:
        while True:
            s.recv(65536)
            n += 1
    except OSError:
        return n


def flood(seconds, targets):
    end, sent, answered = time.monotonic() + seconds, 0, 0
    while time.monotonic() < end:
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.setblocking(False)
        for i in range(8):
            for t in targets:
                try:
                    s.sendto(b"x" * (1 << i), t)
                    sent += 1
                except OSError:
                    pass  # the link may be down or gone
            answered += drain(s)
        time.sleep(0.001)
        answered += drain(s)
        s.close()
    print(sent, answered, flush=True)


if sys.argv[1] == "serve":
    serve(int(sys.argv[2]))
else:
    flood(float(sys.argv[2]), [(t.split(":")[0], int(t.split(":")[1])) for t in sys.argv[3:]])
