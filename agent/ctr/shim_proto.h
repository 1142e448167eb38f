/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the agent and a container's monitor (swarm-shim) say to each other.
 *
 * The monitor is started as
 *   swarm-shim KEY=VALUE…
 * with descriptor 3 a pipe to the agent. It answers there with one line: "ok PID\n" once the
 * container's process runs, or "error TEXT". Keys:
 *   dir=     folder of the run: socket "shim.sock", files "pid", "exit"
 *   runtime= the OCI runtime, rtroot= its state folder, id= the container, bundle=
 *   exec=    process.json: run this in the container instead of starting it
 *   log=     json-file log to append to; size= bytes to rotate at (0: never), files= how many
 *   attrs=   a JSON object's text, of strings, that goes into each record
 *   tty=1 stdin=1 hold=1 once=1 (close stdin when the first client leaves)
 * With hold=1 it first says "hold\n", and runs nothing until a client sends SHIM_GO; it
 * ends when the agent does before that.
 *
 * On the socket go frames as Docker's multiplexed streams have them: type, three zero bytes,
 * length (big-endian), payload. A client gets the output from the moment it connects, if it sent
 * SHIM_ATTACH, and SHIM_EXIT at the end, behind all output. The file "exit" holds
 * "CODE NANOSECONDS OOM\n" and is there before SHIM_EXIT is sent.
 */
#pragma once

enum shim_frame {
	SHIM_STDIN = 0, /* to the monitor */
	SHIM_STDOUT = 1, /* from it */
	SHIM_STDERR = 2,
	SHIM_EXIT = 3, /* from it; payload: decimal exit code */
	SHIM_STDIN_EOF = 4, /* to it */
	SHIM_RESIZE = 5, /* to it; payload: rows, columns, u16 big-endian each */
	SHIM_ATTACH = 6, /* to it */
	SHIM_GO = 7, /* to it */
};

enum { SHIM_HEADER = 8, SHIM_FRAME_MAX = 16384 };
/* Bytes of a record of the log; a line that is longer makes several. */
enum { SHIM_LINE_MAX = 16384 };
