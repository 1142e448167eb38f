#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Requests at a steady rate, each over a connection of its own, to several addresses in turn.

usage: load.py RATE STOPFILE RESULTFILE PATH HOST:PORT...
Ends when STOPFILE exists, or after ten minutes. Writes to RESULTFILE, every second and at the end,
"SENT FAILED", and a line for each request that failed.
"""
import os
import socket
import sys
import threading
import time

RATE, STOP, RESULT, PATH = float(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
TARGETS = [(t.rsplit(":", 1)[0], int(t.rsplit(":", 1)[1])) for t in sys.argv[5:]]
TIMEOUT_S = 15
lock = threading.Lock()
sent, failures = 0, []


def request(target):
    try:
        with socket.create_connection(target, TIMEOUT_S) as s:
            s.settimeout(TIMEOUT_S)
            s.sendall(f"GET {PATH} HTTP/1.0\r\nHost: web\r\n\r\n".encode())
            head = b""
            while True:
                piece = s.recv(65536)
                if not piece:
                    break
                head = (head + piece)[:64]
        return None if b" 200 " in head else f"answered {head!r}"
    except OSError as e:
        return str(e)


def one(target):
    why = request(target)
    if why:
        with lock:
            failures.append(f"{time.strftime('%T')} {target[0]}: {why}")


def report():
    with lock:
        text = f"{sent} {len(failures)}\n" + "\n".join(failures[:50]) + "\n"
    with open(RESULT + ".new", "w") as f:
        f.write(text)
    os.rename(RESULT + ".new", RESULT)


def main():
    global sent
    begin = last = time.monotonic()
    threads = []
    while not os.path.exists(STOP) and time.monotonic() - begin < 600:
        t = threading.Thread(target=one, args=(TARGETS[sent % len(TARGETS)],))
        t.start()
        threads.append(t)
        with lock:
            sent += 1
        # behind the rate on a busy machine: go on from here instead of catching up
        due = last + 1 / RATE
        now = time.monotonic()
        if due > now:
            time.sleep(due - now)
        last = max(due, now)
        if sent % int(max(RATE, 1)) == 0:
            threads = [t for t in threads if t.is_alive()]
            report()
    for t in threads:
        t.join()
    report()


main()
