/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes between two connections, both ways, until both have ended. On the loop's thread. */
#pragma once

struct bufferevent;
struct relay;

/*
 * Takes both over; one may still be connecting. A half close is passed on; an error or the second
 * end closes both. What is buffered is bounded: a side that does not read holds the other back. done
 * (may be NULL) is called when both are closed; until then the relay is there.
 */
struct relay *relay_start(struct bufferevent *a, struct bufferevent *b, void (*done)(void *arg),
			  void *arg);
/* Close both before their end; done is not called. */
void relay_stop(struct relay *r);
