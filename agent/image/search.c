// SPDX-License-Identifier: Apache-2.0
/*
 * docker search: the first version of the registry's API, GET /v1/search, which the Hub serves.
 * Source: moby registry/search.go, registry/search_endpoint_v1.go.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>

#include "image/image_impl.h"
#include "loop/loop.h"
#include "rpc/fetch.h"

enum { REPLY_MAX = 4 << 20 };

static const char hub[] = "index.docker.io";

struct search {
	char *host, *query; /* "q=…&n=…" */
	char *user, *password;
	bool insecure;
	json_t *results;
	void (*done)(const struct err *err, json_t *results, void *arg);
	void *arg;
	struct err err;
};

static void quote(struct buf *b, const char *s)
{
	for (; *s; s++) {
		if (isalnum((unsigned char)*s) || strchr("-_.~", *s))
			buf_char(b, *s);
		else
			buf_printf(b, "%%%02X", (unsigned char)*s);
	}
}

/* "host:5000/what" asks that registry, everything else the Hub. */
static int split(struct search *s, const char *term, unsigned int limit)
{
	_cleanup_buf_ struct buf q = BUF_INIT;
	const char *slash = strchr(term, '/'), *rest = term;

	if (starts_with(term, "http://") || starts_with(term, "https://"))
		return err_set(&s->err, -EINVAL,
			       "invalid repository name: repository name (%s) should not have a "
			       "scheme",
			       term);
	if (slash) {
		s->host = xasprintf("%.*s", (int)(slash - term), term);
		if (strpbrk(s->host, ".:") || !strcmp(s->host, "localhost"))
			rest = slash + 1;
	}
	if (rest == term || !strcmp(s->host, "docker.io") || !strcmp(s->host, hub)) {
		free(s->host);
		s->host = xstrdup(hub);
		if (starts_with(rest, "library/"))
			rest += 8;
	}
	if (s->host[strspn(s->host, "0123456789abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ.:-_[]")])
		return err_set(&s->err, -EINVAL, "invalid index name (%s)", s->host);
	buf_str(&q, "q=");
	quote(&q, rest);
	buf_printf(&q, "&n=%u", limit);
	s->query = buf_steal(&q, NULL);
	return 0;
}

static int ask(struct search *s, const char *scheme, struct fetch *f)
{
	_cleanup_free_ char *url = xasprintf("%s://%s/v1/search?%s", scheme, s->host, s->query),
			    *ca = xasprintf("/etc/docker/certs.d/%s/ca.crt", s->host);

	f->url = url;
	f->ca_file = access(ca, R_OK) ? NULL : ca;
	return fetch(f, &s->err);
}

static void work(void *arg)
{
	struct search *s = arg;
	struct fetch f = {
		.fd = -1,
		.max = REPLY_MAX,
		.user = s->user,
		.password = s->password,
		.header = "X-Docker-Token: true",
		.insecure = s->insecure,
		.body = BUF_INIT,
	};
	json_t *doc, *list;
	int rc = ask(s, "https", &f);

	if (rc && s->insecure)
		rc = ask(s, "http", &f);
	else if (rc && strcmp(s->host, hub))
		err_prefix(&s->err,
			   "invalid registry endpoint https://%s/v1/ (with --insecure-registry %s "
			   "it need not have TLS; its authority's certificate belongs into "
			   "/etc/docker/certs.d/%s/ca.crt)",
			   s->host, s->host, s->host);
	if (!rc && f.status != 200) {
		err_set(&s->err, -EIO, "Unexpected status code %d", f.status);
	} else if (!rc) {
		doc = json_loadb(f.body.data, f.body.len, 0, NULL);
		list = json_object_get(doc, "results");
		if (json_is_object(doc) && (!list || json_is_array(list) || json_is_null(list)))
			s->results = json_is_array(list) ? json_incref(list) : json_array();
		else
			err_set(&s->err, -EIO,
				"error decoding registry search results: %s did not answer a list",
				s->host);
		json_decref(doc);
	}
	buf_done(&f.body);
}

static void worked(void *arg)
{
	struct search *s = arg;

	s->done(s->results ? NULL : &s->err, s->results, s->arg);
	json_decref(s->results);
	free(s->host);
	free(s->query);
	free(s->user);
	free(s->password);
	free(s);
}

void images_search(struct images *images, const char *term, unsigned int limit, const char *auth,
		   void (*done)(const struct err *err, json_t *results, void *arg), void *arg)
{
	struct search *s = xcalloc(1, sizeof(*s));
	char *colon;

	s->done = done;
	s->arg = arg;
	s->user = image_credentials(auth);
	if (s->user && (colon = strchr(s->user, ':'))) {
		*colon = 0;
		s->password = xstrdup(colon + 1);
	}
	if (split(s, term, limit)) {
		loop_defer(images->loop, worked, s);
		return;
	}
	s->insecure = images_insecure(images, s->host);
	loop_thread(images->loop, work, worked, s);
}
