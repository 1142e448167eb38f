// SPDX-License-Identifier: Apache-2.0
/* Plugins on disk: what a crash or a hand may have left, and how they are found. */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "core/rng.h"
#include "disk/file.h"
#include "kselftest_harness.h"
#include "loop/events.h"
#include "plugin/config.h"
#include "plugin/plugin_impl.h"

#define ID_A "aa00000000000000000000000000000000000000000000000000000000000000"
#define ID_B "ab00000000000000000000000000000000000000000000000000000000000000"
#define DIGEST_A "sha256:1100000000000000000000000000000000000000000000000000000000000000"
#define DIGEST_B "sha256:2200000000000000000000000000000000000000000000000000000000000000"

FIXTURE(store)
{
	struct loop *loop;
	struct events *events;
	struct rng rng;
	struct plugins *all;
	char dir[64];
};

static void open_all(FIXTURE_DATA(store) * self)
{
	struct plugins_options opt = {.loop = self->loop,
				      .events = self->events,
				      .rng = &self->rng,
				      .data_root = self->dir,
				      .exec_root = self->dir,
				      .shim = "/none"};

	if (plugins_open(&opt, &self->all, NULL))
		abort();
}

FIXTURE_SETUP(store)
{
	strcpy(self->dir, "/tmp/store_test.XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	self->events = events_new();
	rng_seed(&self->rng, 1);
	ASSERT_EQ(0, loop_new(1, &self->loop, NULL));
	open_all(self);
}

FIXTURE_TEARDOWN(store)
{
	plugins_free(self->all);
	events_free(self->events);
	loop_free(self->loop);
	dir_remove_tree(self->dir, NULL);
}

static void reopen(FIXTURE_DATA(store) * self)
{
	plugins_free(self->all);
	open_all(self);
}

/* Below the folder of plugins. */
static void put(FIXTURE_DATA(store) * self, const char *name, const char *text)
{
	_cleanup_free_ char *path = xasprintf("%s/plugins/%s", self->dir, name),
			    *dir = xstrdup(path);

	*strrchr(dir, '/') = 0;
	if (dir_make(dir, 0700, NULL) || file_write_volatile(path, text, strlen(text), 0600, NULL))
		abort();
}

static bool is_there(FIXTURE_DATA(store) * self, const char *name)
{
	_cleanup_free_ char *path = xasprintf("%s/plugins/%s", self->dir, name);

	return !access(path, F_OK);
}

/* A plugin as an installation leaves it. */
static struct plugin *install(FIXTURE_DATA(store) * self, const char *name, const char *digest)
{
	struct plugin_parts parts = {.name = xstrdup(name), .reference = xstrdup("ref")};
	json_t *in = json_loads("{\"interface\":{\"types\":[\"docker.volumedriver/1.0\"],"
				"\"socket\":\"x.sock\"},\"entrypoint\":[\"/x\"],\"env\":[{\"name\":"
				"\"E\",\"value\":\"1\",\"settable\":[\"value\"]}]}",
				0, NULL);
	struct plugin *p = NULL;

	if (plugin_config_read(in, &parts.config, NULL))
		abort();
	json_decref(in);
	parts.rootfs = plugin_tmp(self->all->root, "rootfs", NULL);
	strcpy(parts.config_digest, digest);
	strcpy(parts.manifest_digest, digest);
	parts.blobs = json_pack("[s]", digest);
	if (plugin_install(self->all, &parts, &p, NULL))
		p = NULL;
	plugin_parts_done(&parts);
	return p;
}

TEST_F(store, known_after_a_restart)
{
	struct plugin *p = install(self, "keeper:latest", DIGEST_A);
	json_t *args = json_pack("[s]", "E=2"), *before, *after;

	ASSERT_NE(NULL, p);
	EXPECT_EQ(0, plugin_change(p, args, NULL));
	before = plugin_inspect(p);
	reopen(self);
	p = plugin_find(self->all, "keeper", NULL);
	ASSERT_NE(NULL, p);
	after = plugin_inspect(p);
	EXPECT_TRUE(json_equal(before, after));
	EXPECT_STREQ("E=2",
		     json_string_value(json_array_get(
			     json_object_get(json_object_get(after, "Settings"), "Env"), 0)));
	json_decref(before);
	json_decref(after);
	json_decref(args);
}

TEST_F(store, one_of_a_name)
{
	struct err err = ERR_INIT;

	EXPECT_NE(NULL, install(self, "keeper:latest", DIGEST_A));
	EXPECT_EQ(NULL, install(self, "keeper:latest", DIGEST_B));
	EXPECT_EQ(-EEXIST, plugin_name_check(self->all, "keeper:latest", &err));
	EXPECT_STREQ("plugin keeper:latest already exists", err.msg);
	EXPECT_NE(NULL, install(self, "keeper:2", DIGEST_B));
}

TEST_F(store, found)
{
	struct plugin *p = install(self, "host:5000/a/keeper:1", DIGEST_A);
	struct err err = ERR_INIT;

	EXPECT_EQ(p, plugin_find(self->all, "host:5000/a/keeper:1", NULL));
	EXPECT_EQ(p, plugin_find(self->all, p->id, NULL));
	p->id[12] = 0;
	/* by the key it was put in with, so a prefix of it */
	EXPECT_EQ(p, plugin_find(self->all, p->id, NULL));
	EXPECT_EQ(NULL, plugin_find(self->all, "host:5000/a/keeper", &err));
	EXPECT_EQ(-ENOENT, err.code);
	EXPECT_EQ(NULL, plugin_find(self->all, "", &err));
	EXPECT_EQ(NULL, plugin_find(self->all, "a b", &err));
	EXPECT_STREQ("plugin \"a b\" not found", err.msg);
}

TEST_F(store, what_crashes_leave)
{
	struct plugin *p = install(self, "keeper:latest", DIGEST_A);
	_cleanup_free_ char *old = xasprintf("%s/rootfs.%.12s/x", p->id, DIGEST_B + 7),
			    *root = xasprintf("%s/rootfs", p->id);

	put(self, old, "of an upgrade that was cut");
	put(self, "tmp/rootfs.123/x", "of an installation that was cut");
	put(self, ID_A "/rootfs/x", "as well, later");
	put(self, ID_B "-removing/rootfs/x", "of a removal");
	put(self,
	    "storage/blobs/sha256/1100000000000000000000000000000000000000000000000000000000000000",
	    "used");
	put(self,
	    "storage/blobs/sha256/2200000000000000000000000000000000000000000000000000000000000000",
	    "unused");
	reopen(self);
	EXPECT_FALSE(is_there(self, old));
	EXPECT_TRUE(is_there(self, root));
	EXPECT_FALSE(is_there(self, "tmp/rootfs.123"));
	EXPECT_FALSE(is_there(self, ID_A));
	EXPECT_FALSE(is_there(self, ID_B "-removing"));
	EXPECT_TRUE(is_there(self,
			     "storage/blobs/sha256/"
			     "1100000000000000000000000000000000000000000000000000000000000000"));
	EXPECT_FALSE(is_there(self,
			      "storage/blobs/sha256/"
			      "2200000000000000000000000000000000000000000000000000000000000000"));
}

TEST_F(store, damaged_ones_are_left_out_and_kept)
{
	static const char *const bad[] = {
		"",
		"[]",
		"{\"plugin\":{}}",
		"{\"plugin\":{\"Name\":\"x:1\",\"Settings\":{},\"Config\":{}},\"Rootfs\":\"../x\"}",
		"{\"plugin\":{\"Name\":\"x:1\",\"Settings\":{},\"Config\":3},\"Rootfs\":"
		"\"rootfs\"}",
		"{\"plugin\":{\"Name\":\"x:1\",\"Config\":{}},\"Rootfs\":\"rootfs\"}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		put(self, ID_A "/config.json", bad[i]);
		reopen(self);
		EXPECT_EQ(NULL, plugins_next(self->all, NULL)) TH_LOG("%s", bad[i]);
		EXPECT_TRUE(is_there(self, ID_A "/config.json"));
	}
}

TEST_F(store, an_upgrade_changes_all_or_nothing)
{
	struct plugin *p = install(self, "keeper:latest", DIGEST_A);
	struct plugin_parts parts = {.reference = xstrdup("new"),
				     .blobs = json_pack("[s]", DIGEST_B)};
	_cleanup_free_ char *was = xasprintf("%s/rootfs", p->id), *now = NULL;

	parts.config = json_deep_copy(p->config);
	parts.rootfs = plugin_tmp(self->all->root, "rootfs", NULL);
	strcpy(parts.config_digest, DIGEST_B);
	strcpy(parts.manifest_digest, DIGEST_B);
	ASSERT_EQ(0, plugin_replace(p, &parts, NULL));
	plugin_parts_done(&parts);
	now = xasprintf("%s/%s", p->id, p->rootfs);
	EXPECT_STRNE(was, now);
	reopen(self);
	p = plugin_find(self->all, "keeper", NULL);
	ASSERT_NE(NULL, p);
	EXPECT_STREQ(DIGEST_B, p->manifest_digest);
	EXPECT_STREQ("new", p->reference);
	EXPECT_TRUE(is_there(self, now));
	EXPECT_FALSE(is_there(self, was));
}

TEST(names)
{
	char *name;

	ASSERT_EQ(0, plugin_name_parse("sshfs", &name, NULL));
	EXPECT_STREQ("sshfs:latest", name);
	free(name);
	ASSERT_EQ(0, plugin_name_parse("docker.io/vieux/sshfs:next", &name, NULL));
	EXPECT_STREQ("vieux/sshfs:next", name);
	free(name);
	EXPECT_EQ(-EINVAL, plugin_name_parse("a@" DIGEST_A, &name, NULL));
	EXPECT_EQ(-EINVAL, plugin_name_parse("A::b", &name, NULL));
	EXPECT_EQ(-EINVAL, plugin_name_parse("", &name, NULL));
}

TEST_HARNESS_MAIN
