// SPDX-License-Identifier: Apache-2.0
/* Volumes with a driver that is made up: what is asked of it, and what becomes of its answers. */
#include "ctr/volume.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>

#include "core/fields.h"
#include "core/rng.h"
#include "ctr/volume_driver.h"
#include "disk/file.h"
#include "kselftest_harness.h"
#include "loop/events.h"
#include "loop/loop.h"

FIXTURE(volumes)
{
	struct loop *loop;
	struct events *events;
	struct rng rng;
	struct volumes *volumes;
	struct volume_drivers drivers;
	char dir[64];
	/* of the driver; jobs write, the loop reads when they have ended */
	pthread_mutex_t lock;
	char asked[4096]; /* "Create a;Mount a;" */
	const char *mountpoint; /* of everything it has */
	bool has, fails;
	/* of the last callback */
	int code;
	char msg[1000], name[300], driver[300];
	json_t *list;
};

/* --- the driver "fake:latest" --- */

static struct volume_driver *find(void *arg, const char *name, struct err *err)
{
	FIXTURE_DATA(volumes) *s = arg;
	struct volume_driver *d;

	if (strcmp(name, "fake") && strcmp(name, "fake:latest")) {
		err_set(err, -ENOENT, "error looking up volume plugin %s", name);
		return NULL;
	}
	d = xcalloc(1, sizeof(*d));
	d->name = xstrdup("fake:latest");
	d->address = xasprintf("%p", (void *)s);
	d->root = xasprintf("%s/root", s->dir);
	d->from = xstrdup("/mnt");
	d->to = xasprintf("%s/shared", s->dir);
	return d;
}

static json_t *names(void *arg)
{
	(void)arg;
	return json_pack("[s]", "fake:latest");
}

static int call(const struct volume_driver *d, const char *method, json_t *request,
		unsigned int patience_ms, unsigned int timeout_ms, json_t **ret, struct err *err)
{
	json_t *out = NULL;
	FIXTURE_DATA(volumes) * s;
	int rc = 0;

	(void)patience_ms;
	(void)timeout_ms;
	sscanf(d->address, "%p", (void **)&s);
	method = strchr(method, '.') + 1;
	pthread_mutex_lock(&s->lock);
	if (strcmp(method, "Capabilities") && strcmp(method, "Get"))
		snprintf(s->asked + strlen(s->asked), sizeof(s->asked) - strlen(s->asked), "%s %s;",
			 method, js(request, "Name"));
	if (s->fails && strcmp(method, "Unmount"))
		rc = err_set(err, -EIO, "it fails");
	else if (!strcmp(method, "Get"))
		out = s->has ? json_pack("{s:{s:s, s:s}}", "Volume", "Name", js(request, "Name"),
					 "Mountpoint", s->mountpoint)
			     : json_object();
	else if (!strcmp(method, "List"))
		out = json_pack("{s:[{s:s, s:s}, {s:s}, i]}", "Volumes", "Name", "there",
				"Mountpoint", s->mountpoint, "Mountpoint", "/nameless", 3);
	else if (!strcmp(method, "Capabilities"))
		out = json_pack("{s:{s:s}}", "Capabilities", "Scope", "global");
	else
		out = json_pack("{s:s}", "Mountpoint", s->mountpoint);
	pthread_mutex_unlock(&s->lock);
	if (!rc && ret)
		*ret = out;
	else
		json_decref(out);
	return rc;
}

/* --- callbacks: each ends loop_run() --- */

static void note(FIXTURE_DATA(volumes) * s, const struct err *err)
{
	s->code = err ? err->code : 0;
	snprintf(s->msg, sizeof(s->msg), "%s", err ? err->msg : "");
	loop_stop(s->loop);
}

static void on_found(const struct err *err, struct volume *v, json_t *status, void *arg)
{
	FIXTURE_DATA(volumes) *s = arg;

	(void)status;
	snprintf(s->name, sizeof(s->name), "%s", v ? volume_name(v) : "");
	snprintf(s->driver, sizeof(s->driver), "%s", v ? volume_driver_name(v) : "");
	note(s, err);
}

static void on_done(const struct err *err, void *arg)
{
	note(arg, err);
}

static void on_list(json_t *list, json_t *warnings, void *arg)
{
	FIXTURE_DATA(volumes) *s = arg;

	json_decref(s->list);
	s->list = json_pack("{s:O, s:O}", "list", list, "warnings", warnings);
	note(s, NULL);
}

static void open_volumes(FIXTURE_DATA(volumes) * s)
{
	struct volumes_options opt = {.loop = s->loop,
				      .drivers = &s->drivers,
				      .events = s->events,
				      .rng = &s->rng,
				      .data_root = s->dir};

	if (volumes_open(&opt, &s->volumes, NULL))
		abort();
}

FIXTURE_SETUP(volumes)
{
	char *path;

	strcpy(self->dir, "/tmp/volume_test.XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	path = xasprintf("%s/shared/a", self->dir);
	ASSERT_EQ(0, dir_make(path, 0755, NULL));
	free(path);
	path = xasprintf("%s/root/etc", self->dir);
	ASSERT_EQ(0, dir_make(path, 0755, NULL));
	free(path);
	pthread_mutex_init(&self->lock, NULL);
	self->mountpoint = "/mnt/a";
	self->drivers =
		(struct volume_drivers){.arg = self, .find = find, .names = names, .call = call};
	self->events = events_new();
	rng_seed(&self->rng, 1);
	ASSERT_EQ(0, loop_new(1, &self->loop, NULL));
	open_volumes(self);
}

FIXTURE_TEARDOWN(volumes)
{
	loop_drain(self->loop);
	volumes_free(self->volumes);
	events_free(self->events);
	loop_free(self->loop);
	json_decref(self->list);
	dir_remove_tree(self->dir, NULL);
}

static void make(FIXTURE_DATA(volumes) * s, const char *name, const char *driver)
{
	volume_make(s->volumes, name, driver, NULL, NULL, on_found, s);
	loop_run(s->loop);
}

TEST_F(volumes, made_once_and_known_after_a_restart)
{
	struct volume *v;

	make(self, "one", "fake");
	EXPECT_EQ(0, self->code) TH_LOG("%s", self->msg);
	EXPECT_STREQ("fake:latest", self->driver);
	make(self, "one", "fake:latest");
	make(self, "one", "");
	EXPECT_STREQ("fake:latest", self->driver);
	EXPECT_STREQ("Create one;", self->asked);
	EXPECT_EQ(1, volumes_of_driver(self->volumes, "fake:latest"));
	make(self, "one", "local");
	EXPECT_EQ(-EEXIST, self->code);
	volumes_free(self->volumes);
	open_volumes(self);
	v = volume_find(self->volumes, "one", NULL);
	ASSERT_NE(NULL, v);
	EXPECT_STREQ("fake:latest", volume_driver_name(v));
	EXPECT_FALSE(volume_local(v));
}

TEST_F(volumes, what_fails_is_not_kept)
{
	self->fails = true;
	make(self, "one", "fake");
	EXPECT_EQ(-EIO, self->code);
	EXPECT_STREQ("create one: it fails", self->msg);
	make(self, "one", "none");
	EXPECT_EQ(-ENOENT, self->code);
	make(self, "../one", "fake");
	EXPECT_EQ(-EINVAL, self->code);
	EXPECT_EQ(NULL, volumes_next(self->volumes, NULL));
}

TEST_F(volumes, found_with_a_driver)
{
	make(self, "here", ""); /* nobody has it */
	EXPECT_STREQ("local", self->driver);
	self->has = true;
	make(self, "there", "");
	EXPECT_STREQ("fake:latest", self->driver);
	make(self, "own", "local");
	EXPECT_STREQ("local", self->driver);
	volume_look_up(self->volumes, "elsewhere", on_found, self);
	loop_run(self->loop);
	EXPECT_STREQ("elsewhere", self->name);
	self->has = false;
	volume_look_up(self->volumes, "nowhere", on_found, self);
	loop_run(self->loop);
	EXPECT_EQ(-ENOENT, self->code);
	EXPECT_STREQ("get nowhere: no such volume", self->msg);
}

static void use(FIXTURE_DATA(volumes) * s, struct volume_use *u)
{
	*u = (struct volume_use){.target = "/d", .volume = "one", .id = "id"};
	volumes_attach(s->volumes, u, 1, "container", on_done, s);
	loop_run(s->loop);
}

TEST_F(volumes, mounted_below_what_the_plugin_shares)
{
	_cleanup_free_ char *want = xasprintf("%s/shared/a", self->dir);
	struct volume_use u;

	make(self, "one", "fake");
	use(self, &u);
	EXPECT_EQ(0, self->code) TH_LOG("%s", self->msg);
	EXPECT_STREQ(want, u.source);
	EXPECT_STREQ(want, volume_path(volume_find(self->volumes, "one", NULL)));
	free(steal_ptr(u.source));
	volumes_detach(self->volumes, &u, 1, "container", on_done, self);
	loop_run(self->loop);
	EXPECT_STREQ("Create one;Mount one;Unmount one;", self->asked);
	self->mountpoint = "/etc"; /* the plugin's own */
	use(self, &u);
	EXPECT_EQ(0, self->code);
	free(u.source);
}

TEST_F(volumes, a_mount_elsewhere_is_undone)
{
	static const char *const places[] = {"",	  "mnt/a", "/mnt/../../etc", "/mnt/link",
					     "/mnt/none", "/mnt",  "/mntx/a"};
	_cleanup_free_ char *link = xasprintf("%s/shared/link", self->dir);
	struct volume_use u;

	ASSERT_EQ(0, symlink("/etc", link));
	make(self, "one", "fake");
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		self->asked[0] = 0;
		self->mountpoint = places[i];
		use(self, &u);
		EXPECT_EQ(-EIO, self->code) TH_LOG("%s", places[i]);
		EXPECT_EQ(NULL, u.source);
		EXPECT_STREQ("Mount one;Unmount one;", self->asked);
	}
}

TEST_F(volumes, listed)
{
	json_t *list;

	make(self, "own", "local");
	volumes_list(self->volumes, on_list, self);
	loop_run(self->loop);
	list = json_object_get(self->list, "list");
	ASSERT_EQ(2, json_array_size(list)); /* nameless ones are left out */
	EXPECT_STREQ("own", js(json_array_get(list, 0), "Name"));
	EXPECT_STREQ("there", js(json_array_get(list, 1), "Name"));
	EXPECT_STREQ("global", js(json_array_get(list, 1), "Scope"));
	self->fails = true;
	volumes_list(self->volumes, on_list, self);
	loop_run(self->loop);
	EXPECT_EQ(1, json_array_size(json_object_get(self->list, "list")));
	EXPECT_STREQ("list fake:latest: it fails",
		     json_string_value(json_array_get(json_object_get(self->list, "warnings"), 0)));
}

TEST_F(volumes, forgotten_by_force_only)
{
	make(self, "one", "fake");
	self->fails = true;
	volume_delete(self->volumes, "one", false, on_done, self);
	loop_run(self->loop);
	EXPECT_EQ(-EIO, self->code);
	EXPECT_NE(NULL, volume_find(self->volumes, "one", NULL));
	volume_delete(self->volumes, "one", true, on_done, self);
	loop_run(self->loop);
	EXPECT_EQ(0, self->code);
	EXPECT_EQ(NULL, volume_find(self->volumes, "one", NULL));
}

TEST_F(volumes, provided_for_a_container)
{
	json_t *body = json_loads(
		       "{\"Volumes\":{\"/anon\":{}},\"HostConfig\":{"
		       "\"VolumeDriver\":\"fake\",\"Binds\":[\"named:/n\",\"/tmp:/t\"]}}",
		       0, NULL),
	       *local = json_loads("{\"HostConfig\":{\"Binds\":[\"/tmp:/t\"]}}", 0, NULL);
	struct volume *v;

	EXPECT_FALSE(volumes_provide(self->volumes, local, NULL, on_done, self));
	ASSERT_TRUE(volumes_provide(self->volumes, body, NULL, on_done, self));
	loop_run(self->loop);
	EXPECT_EQ(0, self->code) TH_LOG("%s", self->msg);
	ASSERT_EQ(0, volume_create(self->volumes, "named", "fake", NULL, NULL, &v, NULL));
	/* the anonymous one was not taken: it goes */
	loop_drain(self->loop);
	EXPECT_EQ(-ENOENT, volume_create(self->volumes, NULL, "fake", NULL, NULL, &v, NULL));
	EXPECT_EQ(1, volumes_of_driver(self->volumes, "fake:latest"));
	json_decref(body);
	json_decref(local);
}

TEST_HARNESS_MAIN
