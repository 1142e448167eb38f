// SPDX-License-Identifier: Apache-2.0
#include "rpc/fetch.h"

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>

#include "disk/file.h"

enum {
	REDIRECTS_MAX = 10, /* as Go's client */
	CONNECT_S = 30,
	STALL_S = 60, /* without a byte */
	ERROR_BODY_MAX = 4096,
	PROGRESS_BYTES = 1 << 20,
};

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
	curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
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

	curl_easy_getinfo(curl, CURLINFO_CONTENT_TYPE, &type);
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
		       "Get \"%s\": %s", url, *why ? why : curl_easy_strerror(code));
}

int fetch(struct fetch *f, struct err *err)
{
	struct transfer t = {.f = f, .curl = curl_easy_init()};
	struct curl_slist *headers = NULL;
	char why[CURL_ERROR_SIZE] = "";
	long status = 0;
	CURLcode code;
	int rc;

	if (!t.curl)
		return err_set(err, -ENOMEM, "libcurl cannot be used");
	buf_reset(&f->body);
	curl_easy_setopt(t.curl, CURLOPT_URL, f->url);
	curl_easy_setopt(t.curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(t.curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(t.curl, CURLOPT_FOLLOWLOCATION, 1L);
	curl_easy_setopt(t.curl, CURLOPT_MAXREDIRS, (long)REDIRECTS_MAX);
	curl_easy_setopt(t.curl, CURLOPT_NOSIGNAL, 1L); /* other threads run */
	curl_easy_setopt(t.curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S);
	curl_easy_setopt(t.curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(t.curl, CURLOPT_LOW_SPEED_TIME, (long)STALL_S);
	curl_easy_setopt(t.curl, CURLOPT_USERAGENT, "swarm-agent/" SWARM_VERSION);
	curl_easy_setopt(t.curl, CURLOPT_ERRORBUFFER, why);
	curl_easy_setopt(t.curl, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(t.curl, CURLOPT_WRITEDATA, &t);
	if (f->user) {
		curl_easy_setopt(t.curl, CURLOPT_USERNAME, f->user);
		curl_easy_setopt(t.curl, CURLOPT_PASSWORD, f->password ? f->password : "");
	}
	if (f->ca_file)
		curl_easy_setopt(t.curl, CURLOPT_CAINFO, f->ca_file);
	if (f->insecure) {
		curl_easy_setopt(t.curl, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(t.curl, CURLOPT_SSL_VERIFYHOST, 0L);
	}
	if (f->header) {
		headers = curl_slist_append(NULL, f->header);
		curl_easy_setopt(t.curl, CURLOPT_HTTPHEADER, headers);
	}
	if (f->progress) {
		curl_easy_setopt(t.curl, CURLOPT_NOPROGRESS, 0L);
		curl_easy_setopt(t.curl, CURLOPT_XFERINFOFUNCTION, on_progress);
		curl_easy_setopt(t.curl, CURLOPT_XFERINFODATA, &t);
	}
	code = curl_easy_perform(t.curl);
	rc = code == CURLE_OK ? 0 : failure(&t, code, why, err);
	if (!rc) {
		curl_easy_getinfo(t.curl, CURLINFO_RESPONSE_CODE, &status);
		f->status = status;
		take_type(f, t.curl);
	}
	curl_slist_free_all(headers);
	curl_easy_cleanup(t.curl);
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
