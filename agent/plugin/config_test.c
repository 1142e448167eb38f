// SPDX-License-Identifier: Apache-2.0
/* Configurations, settings and privileges of plugins. */
#include "plugin/config.h"

#include <errno.h>

#include "core/fields.h"
#include "kselftest_harness.h"

static const char text[] =
	"{\"description\":\"keeps folders\",\"entrypoint\":[\"/keeper\"],"
	"\"interface\":{\"types\":[\"docker.volumedriver/1.0\"],\"socket\":\"keeper.sock\"},"
	"\"linux\":{\"capabilities\":[\"CAP_SYS_ADMIN\"],\"devices\":[{\"name\":\"fuse\","
	"\"path\":\"/dev/fuse\",\"settable\":[\"path\"]}]},"
	"\"network\":{\"type\":\"host\"},\"propagatedMount\":\"/mnt\","
	"\"mounts\":[{\"name\":\"state\",\"source\":\"/var/keep\",\"destination\":\"/state\","
	"\"type\":\"bind\",\"options\":[\"rbind\"],\"settable\":[\"source\"]}],"
	"\"env\":[{\"name\":\"DEBUG\",\"value\":\"0\",\"settable\":[\"value\"]},"
	"{\"name\":\"FIXED\",\"value\":\"1\"}],"
	"\"args\":{\"name\":\"args\",\"value\":[\"-a\"],\"settable\":[\"value\"]}}";

FIXTURE(config)
{
	json_t *config, *settings;
	struct err err;
};

FIXTURE_SETUP(config)
{
	json_t *in = json_loads(text, 0, NULL);

	ASSERT_EQ(0, plugin_config_read(in, &self->config, &self->err));
	json_decref(in);
	self->settings = plugin_settings(self->config);
}

FIXTURE_TEARDOWN(config)
{
	json_decref(self->config);
	json_decref(self->settings);
}

TEST_F(config, every_field_is_there)
{
	EXPECT_STREQ("keeper.sock", js(json_object_get(self->config, "Interface"), "Socket"));
	EXPECT_STREQ("", js(self->config, "WorkDir"));
	EXPECT_TRUE(json_is_false(json_object_get(self->config, "PidHost")));
	EXPECT_TRUE(plugin_has(self->config, "volumedriver"));
	EXPECT_FALSE(plugin_has(self->config, "volume"));
}

static int set(json_t *config, json_t *settings, const char *arg, struct err *err)
{
	json_t *list = json_pack("[s]", arg);
	int rc = plugin_set(config, settings, list, err);

	json_decref(list);
	return rc;
}

static const char *first(json_t *settings, const char *list)
{
	return json_string_value(json_array_get(json_object_get(settings, list), 0));
}

TEST_F(config, set)
{
	struct err *err = &self->err;

	EXPECT_STREQ("DEBUG=0", first(self->settings, "Env"));
	EXPECT_EQ(0, set(self->config, self->settings, "DEBUG=1", err));
	EXPECT_STREQ("DEBUG=1", first(self->settings, "Env"));
	EXPECT_EQ(0, set(self->config, self->settings, "state.source=/x=y", err));
	EXPECT_STREQ("/x=y",
		     js(json_array_get(json_object_get(self->settings, "Mounts"), 0), "Source"));
	EXPECT_EQ(0, set(self->config, self->settings, "args=-b -c", err));
	EXPECT_EQ(2, json_array_size(json_object_get(self->settings, "Args")));
	/* what the author wrote stays */
	EXPECT_STREQ("/var/keep",
		     js(json_array_get(json_object_get(self->config, "Mounts"), 0), "Source"));
}

TEST_F(config, set_is_refused)
{
	struct err *err = &self->err;

	EXPECT_EQ(-EINVAL, set(self->config, self->settings, "FIXED=2", err));
	EXPECT_STREQ("\"FIXED\" is not settable", err->msg);
	EXPECT_EQ(-EINVAL, set(self->config, self->settings, "state.destination=/x", err));
	EXPECT_STREQ("\"state.destination\" is not settable", err->msg);
	EXPECT_EQ(-EINVAL, set(self->config, self->settings, "none=2", err));
	EXPECT_STREQ("setting \"none\" not found in the plugin configuration", err->msg);
	EXPECT_EQ(-EINVAL, set(self->config, self->settings, "=2", err));
	EXPECT_EQ(-EINVAL, set(self->config, self->settings, "", err));
}

TEST_F(config, privileges)
{
	json_t *p = plugin_privileges(self->config);

	EXPECT_EQ(4, json_array_size(p)); /* network, mount, device, capabilities */
	EXPECT_EQ(0, plugin_privileges_check(self->config, p, &self->err));
	json_array_append(p, json_array_get(p, 0));
	json_array_remove(p, 0); /* in another order */
	EXPECT_EQ(0, plugin_privileges_check(self->config, p, &self->err));
	json_array_remove(p, 0);
	EXPECT_NE(0, plugin_privileges_check(self->config, p, &self->err));
	EXPECT_STREQ("incorrect privileges", self->err.msg);
	EXPECT_NE(0, plugin_privileges_check(self->config, NULL, NULL));
	json_decref(p);
}

TEST(refused)
{
	static const char *const bad[] = {
		"[]",
		"{\"entrypoint\":\"/keeper\"}",
		"{\"interface\":{\"socket\":\"../../x\"}}",
		"{\"propagatedMount\":\"mnt\"}",
		"{\"propagatedMount\":\"/a/../..\"}",
		"{\"mounts\":[{\"source\":\"/\"}]}",
		"{\"mounts\":[3]}",
		"{\"user\":{\"uid\":-1}}",
		"{\"env\":{}}",
	};
	struct err err;
	json_t *out;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		json_t *in = json_loads(bad[i], 0, NULL);

		ASSERT_NE(NULL, in);
		EXPECT_EQ(-EINVAL, plugin_config_read(in, &out, &err)) TH_LOG("%s", bad[i]);
		json_decref(in);
	}
}

TEST_HARNESS_MAIN
