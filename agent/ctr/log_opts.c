// SPDX-License-Identifier: Apache-2.0
/* HostConfig.LogConfig: the driver, its options, and what they mean for the monitor. */
#include <errno.h>
#include <math.h>
#include <stdio.h>

#include "ctr/ctr_impl.h"

/* "10m" and its like, as go-units' RAMInBytes has them. */
static int parse_size(const char *s, int64_t *ret)
{
	static const char units[] = "bkmgt";
	char *end;
	double v = strtod(s, &end);
	const char *unit;

	if (end == s || !isfinite(v) || v < 0)
		return -EINVAL;
	if (*end) {
		unit = strchr(units, *end | 0x20);
		if (!unit)
			return -EINVAL;
		for (const char *u = units; u < unit; u++)
			v *= 1024;
		end++;
		if (unit != units && (*end | 0x20) == 'i')
			end++;
		if (unit != units && (*end | 0x20) == 'b')
			end++;
	}
	if (*end || v > 1e15)
		return -EINVAL;
	*ret = v;
	return 0;
}

int ctr_log_limits(json_t *host, int64_t *ret_size, int *ret_files, struct err *err)
{
	json_t *log = json_object_get(host, "LogConfig"), *opts = json_object_get(log, "Config");
	const char *size = js(opts, "max-size"), *files = js(opts, "max-file");
	bool local = !strcmp(js(log, "Type"), "local");
	uint64_t n = local ? 5 : 1;

	*ret_size = local ? 20 << 20 : 0;
	if (*size && strcmp(size, "-1") && parse_size(size, ret_size))
		return err_set(err, -EINVAL, "invalid value for max-size: invalid size: '%s'",
			       size);
	if (*files && parse_u64(files, 1, 1000, &n))
		return err_set(err, -EINVAL,
			       "invalid value for max-file: \"%s\" must be a number from 1 to 1000",
			       files);
	if (n > 1 && !*ret_size)
		return err_set(err, -EINVAL, "cannot specify max-file for %s without max-size",
			       js(log, "Type"));
	if (!strcmp(js(opts, "compress"), "true") && !local && (n < 2 || !*ret_size))
		return err_set(err, -EINVAL,
			       "compress cannot be true when max-file is less than 2 or max-size "
			       "is not set");
	*ret_files = n;
	return 0;
}

static int check_opts(const char *type, json_t *opts, struct err *err)
{
	static const char *const known[] = {
		"max-size", "max-file", "compress",	"mode", "max-buffer-size",
		"tag",	    "labels",	"labels-regex", "env",	"env-regex"};
	const char *key;
	json_t *v;

	json_object_foreach (opts, key, v) {
		bool ok = false;

		for (size_t i = 0; i < ARRAY_SIZE(known); i++)
			ok |= !strcmp(key, known[i]);
		if (!ok)
			return err_set(err, -EINVAL, "unknown log opt '%s' for %s log driver", key,
				       type);
		if (!json_is_string(v))
			return err_set(err, -EINVAL, "invalid log opt '%s': it must be a string",
				       key);
	}
	return 0;
}

static int check_mode(json_t *opts, struct err *err)
{
	const char *mode = js(opts, "mode");

	if (*mode && strcmp(mode, "blocking") && strcmp(mode, "non-blocking"))
		return err_set(err, -EINVAL, "logger: logging mode not supported: %s", mode);
	if (*js(opts, "max-buffer-size") && strcmp(mode, "non-blocking"))
		return err_set(err, -EINVAL,
			       "logger: max-buffer-size option is only supported with "
			       "'mode=non-blocking'");
	return 0;
}

int ctr_log_check(json_t *host, struct ctrs *ctrs, struct err *err)
{
	static const char *const drivers[] = {"json-file", "local", "none"};
	const char *own = ctrs->opt.log_driver ? ctrs->opt.log_driver : "json-file", *type;
	json_t *log = json_object_get(host, "LogConfig");
	bool found = false;
	int64_t size;
	int files, rc;

	if (!json_is_object(log))
		json_object_set_new(host, "LogConfig", log = json_object());
	if (!*js(log, "Type"))
		json_object_set_new(log, "Type", json_string(own));
	if (!json_is_object(json_object_get(log, "Config")))
		json_object_set_new(log, "Config", json_object());
	type = js(log, "Type");
	/* the daemon's options are for its own driver */
	if (!strcmp(type, own))
		json_object_update_missing(json_object_get(log, "Config"), ctrs->log_opts);
	for (size_t i = 0; i < ARRAY_SIZE(drivers); i++)
		found |= !strcmp(type, drivers[i]);
	if (!found)
		return err_set(err, -EINVAL, "logger: no log driver named '%s' is registered",
			       type);
	rc = check_opts(type, json_object_get(log, "Config"), err);
	if (!rc)
		rc = check_mode(json_object_get(log, "Config"), err);
	return rc || !strcmp(type, "none") ? rc : ctr_log_limits(host, &size, &files, err);
}
