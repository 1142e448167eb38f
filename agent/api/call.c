// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>

#include "api/api.h"
#include "core/buf.h"

const char *api_query(struct api_call *call, const char *name)
{
	return http_query(call->req, name);
}

bool api_query_bool(struct api_call *call, const char *name, bool dflt)
{
	static const char *const falsy[] = {"", "0", "no", "false", "none", "False", "FALSE"};
	const char *v = api_query(call, name);

	if (!v)
		return dflt;
	for (size_t i = 0; i < ARRAY_SIZE(falsy); i++)
		if (!strcmp(v, falsy[i]))
			return false;
	return true;
}

int api_query_i64(struct api_call *call, const char *name, int64_t dflt, int64_t *ret,
		  struct err *err)
{
	const char *v = api_query(call, name);

	*ret = dflt;
	if (str_empty(v))
		return 0;
	if (parse_i64(v, INT64_MIN, INT64_MAX, ret))
		return err_set(err, -EINVAL,
			       "invalid value '%s' for the parameter '%s': not a number", v, name);
	return 0;
}

int api_query_size(struct api_call *call, unsigned int *ret_rows, unsigned int *ret_cols,
		   struct err *err)
{
	int64_t h = 0, w = 0;
	int rc = api_query_i64(call, "h", 0, &h, err);

	if (!rc)
		rc = api_query_i64(call, "w", 0, &w, err);
	if (rc)
		return rc;
	if (h < 0 || w < 0 || h > UINT16_MAX || w > UINT16_MAX)
		return err_set(err, -EINVAL, "invalid resize height or width: %lld x %lld",
			       (long long)h, (long long)w);
	*ret_rows = h;
	*ret_cols = w;
	return 0;
}

int api_need_body(const json_t *body, struct err *err)
{
	return body ? 0 : err_set(err, -EINVAL, "invalid JSON: got EOF while reading request body");
}

char *api_registry_auth(struct api_call *call)
{
	const char *v = http_header(call->req, "X-Registry-Auth");

	return str_empty(v) ? NULL : base64_decode(v, NULL);
}

void api_call_free(struct api_call *call)
{
	free(call->path);
	free(call);
}

void api_reply(struct api_call *call, int status, json_t *body)
{
	size_t len = 0;
	char *text = NULL;

	if (body) {
		_cleanup_buf_ struct buf out = BUF_INIT;

		text = json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY);
		buf_str(&out, text ? text : "{}");
		buf_char(&out, '\n');
		free(text);
		text = buf_steal(&out, &len);
		json_decref(body);
	}
	http_reply(call->req, status, text ? "application/json" : NULL, text, len);
	free(text);
	api_call_free(call);
}

void api_reply_err(struct api_call *call, const struct err *err)
{
	int status = api_status(err->code);

	api_reply(call, status, status == 304 ? NULL : json_pack("{s:s}", "message", err->msg));
}

void api_done(struct api_call *call, int status, const struct err *err)
{
	if (err)
		api_reply_err(call, err);
	else
		api_reply(call, status, NULL);
}

void api_line(struct api_call *call, json_t *line)
{
	char *text = json_dumps(line, JSON_COMPACT);

	if (!http_started(call->req))
		http_start(call->req, 200, "application/json");
	if (text) {
		_cleanup_buf_ struct buf out = BUF_INIT;

		buf_printf(&out, "%s\r\n", text);
		http_write(call->req, out.data, out.len);
		free(text);
	}
	json_decref(line);
}

void api_end(struct api_call *call)
{
	http_end(call->req);
	api_call_free(call);
}

void api_end_err(struct api_call *call, const struct err *err)
{
	if (!http_started(call->req)) {
		api_reply_err(call, err);
		return;
	}
	api_line(call, json_pack("{s:{s:s}, s:s}", "errorDetail", "message", err->msg, "error",
				 err->msg));
	api_end(call);
}

void api_on_line(json_t *line, void *call)
{
	api_line(call, json_incref(line));
}

void api_stream_done(const struct err *err, void *arg)
{
	struct api_call *call = arg;

	if (err) {
		api_end_err(call, err);
		return;
	}
	if (!http_started(call->req))
		http_start(call->req, 200, "application/json");
	api_end(call);
}

static void on_body(struct http_req *req, const struct err *err, const char *data, size_t len,
		    void *arg)
{
	struct api_call *call = arg;
	struct err bad = ERR_INIT;
	json_error_t jerr;
	json_t *body = NULL;

	(void)req;
	if (err) {
		api_reply_err(call, err);
		return;
	}
	if (len) {
		body = json_loadb(data, len, JSON_DECODE_ANY, &jerr);
		if (!body) {
			err_set(&bad, -EINVAL, "invalid JSON: %s (line %d, column %d)", jerr.text,
				jerr.line, jerr.column);
			api_reply_err(call, &bad);
			return;
		}
		if (json_is_null(body)) {
			json_decref(body);
			body = NULL;
		}
		if (body && !(call->array_body ? json_is_array(body) : json_is_object(body))) {
			err_set(&bad, -EINVAL, "invalid JSON: the request body is not %s",
				call->array_body ? "a list" : "an object");
			json_decref(body);
			api_reply_err(call, &bad);
			return;
		}
	}
	call->body_fn(call, body);
	json_decref(body);
}

void api_body(struct api_call *call, void (*fn)(struct api_call *call, json_t *body))
{
	const char *type = http_header(call->req, "Content-Type");
	struct err err = ERR_INIT;

	if (http_has_body(call->req) && type && !starts_with(type, "application/json") &&
	    !starts_with(type, "text/plain")) {
		err_set(&err, -EINVAL,
			"unsupported Content-Type header (%s): must be 'application/json'", type);
		api_reply_err(call, &err);
		return;
	}
	call->body_fn = fn;
	http_body(call->req, API_BODY_MAX, on_body, call);
}

void api_body_list(struct api_call *call, void (*fn)(struct api_call *call, json_t *body))
{
	call->array_body = true;
	api_body(call, fn);
}
