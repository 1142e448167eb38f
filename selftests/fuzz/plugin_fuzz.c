// SPDX-License-Identifier: Apache-2.0
/*
 * What plugins and their authors give: the first byte says which. An answer over the socket, in two
 * pieces; a config.json; settings of one.
 */
#include <assert.h>

#include "plugin/client.h"
#include "plugin/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void reply(const char *p, size_t n)
{
	struct buf body = BUF_INIT, again = BUF_INIT;
	int status = 0, rc = plugin_reply(p, n, true, &status, &body);

	/* whole without its end: then the end adds nothing */
	if (!plugin_reply(p, n, false, &status, &again)) {
		assert(!rc && body.len == again.len);
		assert(!memcmp(body.data, again.data, body.len));
	}
	assert(body.len <= n);
	buf_reset(&again);
	plugin_reply(p, n / 2, false, &status, &again);
	buf_done(&body);
	buf_done(&again);
}

static void config(const char *p, size_t n)
{
	json_t *in = json_loadb(p, n, 0, NULL), *config, *again, *settings, *needed;

	if (!plugin_config_read(in, &config, NULL)) {
		settings = plugin_settings(config);
		needed = plugin_privileges(config);
		assert(!plugin_privileges_check(config, needed, NULL));
		/* what was read is read again, and is the same */
		assert(!plugin_config_read(config, &again, NULL));
		assert(json_equal(config, again));
		json_decref(again);
		json_decref(settings);
		json_decref(needed);
		json_decref(config);
	}
	json_decref(in);
}

static void set(const char *p, size_t n)
{
	static const char text[] =
		"{\"mounts\":[{\"name\":\"m\",\"source\":\"/\",\"destination\":\"/m\",\"settable\":"
		"[\"source\"]}],\"env\":[{\"name\":\"E\",\"settable\":[\"value\"]}],\"args\":{"
		"\"name\":\"a\",\"settable\":[\"value\"]},\"linux\":{\"devices\":[{\"name\":\"d\","
		"\"path\":\"/dev/x\",\"settable\":[\"path\"]}]}}";
	json_t *in = json_loads(text, 0, NULL), *args = json_array(), *config, *settings;

	assert(!plugin_config_read(in, &config, NULL));
	settings = plugin_settings(config);
	json_array_append_new(args, json_stringn(p, n));
	plugin_set(config, settings, args, NULL);
	json_decref(settings);
	json_decref(config);
	json_decref(args);
	json_decref(in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	if (data[0] == 'r')
		reply((const char *)data + 1, size - 1);
	else if (data[0] == 'c')
		config((const char *)data + 1, size - 1);
	else
		set((const char *)data + 1, size - 1);
	return 0;
}
