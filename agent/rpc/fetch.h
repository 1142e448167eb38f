/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One HTTP or HTTPS request to a server elsewhere, by libcurl: redirects, proxies of the environment
 * and the node's certificate authorities are taken care of. The library is loaded by the first
 * request. Blocks: on a worker or thread only.
 */
#pragma once

#include "core/buf.h"
#include "core/err.h"

struct fetch {
	const char *url;
	const char *user, *password; /* or NULL: none */
	const char *header; /* one more, "Name: value", or NULL */
	const char *ca_file; /* authorities in place of the node's, or NULL */
	bool insecure; /* any certificate is good */
	int fd; /* where the body is written; -1: into body, at most max bytes */
	size_t max;
	/* now and then; total 0: unknown. May be NULL. */
	void (*progress)(int64_t now, int64_t total, void *arg);
	void *arg;
	/* the reply */
	struct buf
		body; /* buf_done() is the caller's; with fd and a status of 400 and more its beginning */
	int status;
	char type[128]; /* Content-Type without parameters, in lower case; "" when it has none */
};

/*
 * 0 when there is a reply, whatever its status. -ENOENT: the name of the server is not known;
 * -EINVAL: the address is none; -EFBIG; -ENOSYS: libcurl is not installed; -EIO and a sentence otherwise.
 */
int fetch(struct fetch *f, struct err *err);
/* The same for one file: a status of 400 and more is an error, too, with dockerd's sentence. */
int fetch_file(struct fetch *f, struct err *err);
