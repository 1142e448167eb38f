// SPDX-License-Identifier: Apache-2.0
/* HostConfig.LogConfig: the driver, its options with the daemon's defaults, and what they select. */
#include <errno.h>

#include "ctr/ctr_impl.h"
#include "logger/logger.h"

/* As one argument of the monitor, which the kernel bounds. */
enum { ATTRIBUTES_MAX = 64 << 10 };

static const char *driver(const struct ctr *c)
{
	return js(json_object_get(c->host, "LogConfig"), "Type");
}

static json_t *options(const struct ctr *c)
{
	return json_object_get(json_object_get(c->host, "LogConfig"), "Config");
}

int ctr_log_check(json_t *host, struct ctrs *ctrs, struct err *err)
{
	const char *own = ctrs->opt.log_driver ? ctrs->opt.log_driver : "json-file", *key;
	json_t *log = json_object_get(host, "LogConfig"), *opts, *v;

	if (!json_is_object(log))
		json_object_set_new(host, "LogConfig", log = json_object());
	if (!*js(log, "Type"))
		json_object_set_new(log, "Type", json_string(own));
	opts = json_object_get(log, "Config");
	if (!json_is_object(opts))
		json_object_set_new(log, "Config", opts = json_object());
	/* the daemon's options are for its own driver, those of the cache for all */
	json_object_foreach (ctrs->log_opts, key, v)
		if ((!strcmp(js(log, "Type"), own) || starts_with(key, "cache-")) &&
		    !json_object_get(opts, key))
			json_object_set(opts, key, v);
	return logger_check(js(log, "Type"), opts, err);
}

void ctr_log_limits(const struct ctr *c, struct log_file_limits *ret)
{
	*ret = (struct log_file_limits){.files = 1};
	logger_limits(driver(c), options(c), ret, NULL); /* was checked at the creation */
}

bool ctr_log_readable(const struct ctr *c)
{
	struct log_file_limits limits;

	ctr_log_limits(c, &limits);
	return limits.readable;
}

bool ctr_log_remote(const struct ctr *c)
{
	return logger_is_remote(driver(c));
}

/* The program with its arguments. */
static char *command(const struct ctr *c)
{
	_cleanup_buf_ struct buf out = BUF_INIT;
	json_t *v;
	size_t i;

	json_array_foreach (c->path_args, i, v)
		buf_printf(&out, "%s%s", i ? " " : "", json_string_value(v));
	return buf_steal(&out, NULL);
}

static struct log_source source(const struct ctr *c, const char *cmd)
{
	return (struct log_source){
		.id = c->id,
		.name = c->name,
		.image_id = c->image_id,
		.image_name = c->image_ref ? c->image_ref : "",
		.command = cmd,
		.created_ns = c->created_ns,
		.labels = json_object_get(c->config, "Labels"),
		.env = json_object_get(c->config, "Env"),
	};
}

int ctr_log_attributes(const struct ctr *c, char **ret, struct err *err)
{
	_cleanup_free_ char *cmd = command(c);
	struct log_source src = source(c, cmd);
	int rc = logger_file_attributes(driver(c), &src, options(c), ret, err);

	if (!rc && *ret && strlen(*ret) > ATTRIBUTES_MAX) {
		free(steal_ptr(*ret));
		rc = err_set(
			err, -EINVAL,
			"the attributes that the log options of container %s select are longer "
			"than %d bytes",
			c->name, ATTRIBUTES_MAX);
	}
	return rc ? err_prefix(err, "failed to initialize logging driver") : 0;
}

int ctr_logger(const struct ctr *c, struct logger **ret, struct err *err)
{
	_cleanup_free_ char *cmd = command(c);
	struct log_source src = source(c, cmd);
	char hostname[65] = "";

	gethostname(hostname, sizeof(hostname) - 1);
	return logger_new(driver(c), &src, options(c), hostname, getpid(), ret, err);
}
