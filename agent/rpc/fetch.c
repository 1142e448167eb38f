// SPDX-License-Identifier: Apache-2.0
#include "rpc/fetch.h"

#include <ctype.h>
#include <curl/curl.h>
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>

#include "disk/file.h"

enum {
	REDIRECTS_MAX = 10, /* as Go's client */
	CONNECT_S = 30,
	STALL_S = 60, /* without a byte */
	ERROR_BODY_MAX = 4096,
	PROGRESS_BYTES = 1 << 20,
};

/*
 * libcurl and its two dozen libraries cost a daemon that fetches nothing 4 MiB: they are loaded by the
 * first request, and stay.
 */
#define LIBRARY "libcurl.so.4"

static struct {
	__typeof__(&curl_easy_init) init;
	__typeof__(&curl_easy_setopt) setopt;
	__typeof__(&curl_easy_perform) perform;
	__typeof__(&curl_easy_getinfo) getinfo;
	__typeof__(&curl_easy_strerror) strerror;
	__typeof__(&curl_easy_cleanup) cleanup;
	__typeof__(&curl_slist_append) slist_append;
	__typeof__(&curl_slist_free_all) slist_free_all;
	char why[256]; /* it cannot be used; "" when it can */
} lib;

static void load(void)
{
	const struct {
		const char *name;
		void *at;
	} functions[] = {
		{"curl_easy_init", &lib.init},
		{"curl_easy_setopt", &lib.setopt},
		{"curl_easy_perform", &lib.perform},
		{"curl_easy_getinfo", &lib.getinfo},
		{"curl_easy_strerror", &lib.strerror},
		{"curl_easy_cleanup", &lib.cleanup},
		{"curl_slist_append", &lib.slist_append},
		{"curl_slist_free_all", &lib.slist_free_all},
	};
	void *so = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);

	for (size_t i = 0; so && i < ARRAY_SIZE(functions); i++) {
		void *fn = dlsym(so, functions[i].name);

		memcpy(functions[i].at, &fn, sizeof(fn));
		if (!fn)
			so = NULL;
	}
	if (!so)
		snprintf(lib.why, sizeof(lib.why), "%s", dlerror());
}

static int need_library(struct err *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, load);
	if (!lib.why[0])
		return 0;
	return err_set(err, -ENOSYS,
		       LIBRARY " cannot be loaded: %s; install libcurl (Debian: libcurl4)",
		       lib.why);
}

struct transfer {
	struct fetch *f;
	CURL *curl;
	int64_t told;
	bool too_large;
	int write_rc;
};

static size_t keep(struct transfer *t, const char *p, size_t n)
{
	struct fetch *f = t->f;

	if (f->body.len + n > f->max) {
		t->too_large = true;
		return 0;
	}
	buf_add(&f->body, p, n);
	return n;
}

static size_t on_data(char *p, size_t one, size_t n, void *arg)
{
	struct transfer *t = arg;
	long status = 0;

	(void)one;
	lib.getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
	if (t->f->fd < 0)
		return keep(t, p, n);
	if (status >= 400) {
		buf_add(&t->f->body, p, min(n, ERROR_BODY_MAX - t->f->body.len));
		return n;
	}
	t->write_rc = file_write_all(t->f->fd, p, n);
	return t->write_rc ? 0 : n;
}

static int on_progress(void *arg, curl_off_t total, curl_off_t now, curl_off_t out_total,
		       curl_off_t out_now)
{
	struct transfer *t = arg;

	(void)out_total;
	(void)out_now;
	if (now - t->told >= PROGRESS_BYTES || (now && now == total && now != t->told)) {
		t->told = now;
		t->f->progress(now, total, t->f->arg);
	}
	return 0;
}

static void take_type(struct fetch *f, CURL *curl)
{
	char *type = NULL;

	lib.getinfo(curl, CURLINFO_CONTENT_TYPE, &type);
	snprintf(f->type, sizeof(f->type), "%s", type ? type : "");
	f->type[strcspn(f->type, "; ")] = 0;
	for (char *c = f->type; *c; c++)
		*c = tolower((unsigned char)*c);
}

static int failure(const struct transfer *t, CURLcode code, const char *why, struct err *err)
{
	const char *url = t->f->url;

	if (t->too_large)
		return err_set(err, -EFBIG, "the reply of %s is longer than %zu bytes", url,
			       t->f->max);
	if (t->write_rc)
		return err_errno(err, t->write_rc, "cannot store what %s sends", url);
	return err_set(err,
		       code == CURLE_COULDNT_RESOLVE_HOST				   ? -ENOENT
		       : code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL ? -EINVAL
											   : -EIO,
		       "Get \"%s\": %s", url, *why ? why : lib.strerror(code));
}

int fetch(struct fetch *f, struct err *err)
{
	struct transfer t = {.f = f};
	struct curl_slist *headers = NULL;
	char why[CURL_ERROR_SIZE] = "";
	long status = 0;
	CURLcode code;
	int rc = need_library(err);

	if (rc)
		return rc;
	t.curl = lib.init();
	if (!t.curl)
		return err_set(err, -ENOMEM, "libcurl cannot be used");
	buf_reset(&f->body);
	lib.setopt(t.curl, CURLOPT_URL, f->url);
	lib.setopt(t.curl, CURLOPT_PROTOCOLS_STR, "http,https");
	lib.setopt(t.curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
	lib.setopt(t.curl, CURLOPT_FOLLOWLOCATION, 1L);
	lib.setopt(t.curl, CURLOPT_MAXREDIRS, (long)REDIRECTS_MAX);
	lib.setopt(t.curl, CURLOPT_NOSIGNAL, 1L); /* other threads run */
	lib.setopt(t.curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S);
	lib.setopt(t.curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	lib.setopt(t.curl, CURLOPT_LOW_SPEED_TIME, (long)STALL_S);
	lib.setopt(t.curl, CURLOPT_USERAGENT, "swarm-agent/" SWARM_VERSION);
	lib.setopt(t.curl, CURLOPT_ERRORBUFFER, why);
	lib.setopt(t.curl, CURLOPT_WRITEFUNCTION, on_data);
	lib.setopt(t.curl, CURLOPT_WRITEDATA, &t);
	if (f->user) {
		lib.setopt(t.curl, CURLOPT_USERNAME, f->user);
		lib.setopt(t.curl, CURLOPT_PASSWORD, f->password ? f->password : "");
	}
	if (f->ca_file)
		lib.setopt(t.curl, CURLOPT_CAINFO, f->ca_file);
	if (f->insecure) {
		lib.setopt(t.curl, CURLOPT_SSL_VERIFYPEER, 0L);
		lib.setopt(t.curl, CURLOPT_SSL_VERIFYHOST, 0L);
	}
	if (f->header) {
		headers = lib.slist_append(NULL, f->header);
		lib.setopt(t.curl, CURLOPT_HTTPHEADER, headers);
	}
	if (f->progress) {
		lib.setopt(t.curl, CURLOPT_NOPROGRESS, 0L);
		lib.setopt(t.curl, CURLOPT_XFERINFOFUNCTION, on_progress);
		lib.setopt(t.curl, CURLOPT_XFERINFODATA, &t);
	}
	code = lib.perform(t.curl);
	rc = code == CURLE_OK ? 0 : failure(&t, code, why, err);
	if (!rc) {
		lib.getinfo(t.curl, CURLINFO_RESPONSE_CODE, &status);
		f->status = status;
		take_type(f, t.curl);
	}
	lib.slist_free_all(headers);
	lib.cleanup(t.curl);
	return rc;
}

int fetch_file(struct fetch *f, struct err *err)
{
	static const struct {
		int status, code;
	} codes[] = {{400, -EINVAL}, {401, -EKEYREJECTED}, {403, -EACCES}, {404, -ENOENT}};
	int rc = fetch(f, err), code = -EIO;

	if (rc || f->status < 400)
		return rc;
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
		if (codes[i].status == f->status)
			code = codes[i].code;
	while (f->body.len && isspace((unsigned char)f->body.data[f->body.len - 1]))
		f->body.data[--f->body.len] = 0;
	return err_set(err, code, "failed to GET %s with status %d: %.600s", f->url, f->status,
		       f->body.data);
}
