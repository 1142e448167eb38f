// SPDX-License-Identifier: Apache-2.0
/* Names, signals, users, capabilities, filters and archives: what needs no container. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "ctr/copy.h"
#include "ctr/ctr_impl.h"
#include "ctr/filter.h"
#include "ctr/names.h"
#include "ctr/tar.h"
#include "ctr/tar_name.h"
#include "disk/file.h"
#include "kselftest_harness.h"

TEST(names)
{
	struct rng rng;
	char *name;

	rng_seed(&rng, 1);
	for (int i = 0; i < 100; i++) {
		name = name_make(&rng);
		EXPECT_TRUE(ctr_name_valid(name));
		free(name);
	}
	EXPECT_TRUE(ctr_name_valid("a.b_c-9"));
	EXPECT_FALSE(ctr_name_valid("a"));
	EXPECT_FALSE(ctr_name_valid(""));
	EXPECT_FALSE(ctr_name_valid("-ab"));
	EXPECT_FALSE(ctr_name_valid("a/b"));
}

TEST(parts_stay_inside)
{
	char dir[] = "/tmp/parts.XXXXXX";
	_cleanup_free_ char *link = NULL, *sub = NULL;
	int fd;

	EXPECT_TRUE(part_path_valid("a/b"));
	EXPECT_TRUE(part_path_valid("a..b/..c"));
	EXPECT_FALSE(part_path_valid("/a"));
	EXPECT_FALSE(part_path_valid(".."));
	EXPECT_FALSE(part_path_valid("a/../../b"));
	EXPECT_FALSE(part_path_valid("a/.."));
	ASSERT_NE(NULL, mkdtemp(dir));
	sub = xasprintf("%s/sub", dir);
	link = xasprintf("%s/sub/out", dir);
	ASSERT_EQ(0, mkdir(sub, 0700));
	ASSERT_EQ(0, symlink("../..", link));
	fd = part_open(dir, "sub", NULL);
	EXPECT_LE(0, fd);
	close(fd);
	EXPECT_EQ(-EINVAL, part_open(dir, "sub/out", NULL));
	EXPECT_EQ(-EINVAL, part_open(dir, "none", NULL));
	dir_remove_tree(dir, NULL);
}

TEST(signals)
{
	EXPECT_EQ(9, signal_number(""));
	EXPECT_EQ(9, signal_number(NULL));
	EXPECT_EQ(15, signal_number("SIGTERM"));
	EXPECT_EQ(15, signal_number("term"));
	EXPECT_EQ(12, signal_number("12"));
	EXPECT_EQ(37, signal_number("RTMIN+3"));
	EXPECT_EQ(62, signal_number("SIGRTMAX-2"));
	EXPECT_EQ(-1, signal_number("65"));
	EXPECT_EQ(-1, signal_number("0"));
	EXPECT_EQ(-1, signal_number("NOSUCH"));
}

FIXTURE(root)
{
	char dir[64];
};

static void put(const char *dir, const char *name, const char *text)
{
	char *path = xasprintf("%s/%s", dir, name);
	struct err err;

	if (file_write_volatile(path, text, strlen(text), 0640, &err))
		abort();
	free(path);
}

FIXTURE_SETUP(root)
{
	char *etc;

	strcpy(self->dir, "/tmp/ctr_test.XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	etc = xasprintf("%s/etc", self->dir);
	ASSERT_EQ(0, mkdir(etc, 0755));
	put(self->dir, "etc/passwd",
	    "root:x:0:0:root:/root:/bin/sh\nbad "
	    "line\nann:x:1000:1001:Ann:/home/ann:/bin/sh\n::::::\n");
	put(self->dir, "etc/group",
	    "root:x:0:\nann:x:1001:\nwheel:x:10:bob,ann\nbig:x:99999999999:ann\n");
	free(etc);
}

FIXTURE_TEARDOWN(root)
{
	dir_remove_tree(self->dir, NULL);
}

static json_t *user(const char *dir, const char *spec, json_t *add)
{
	struct err err = ERR_INIT;
	json_t *who = NULL;
	char *home = NULL;

	if (spec_user(dir, spec, add, &who, &home, &err))
		return NULL;
	json_object_set_new(who, "home", json_string(home));
	free(home);
	return who;
}

#define expect_user(spec, add, want)                                                               \
	do {                                                                                       \
		json_t *_add = (add), *_who = user(self->dir, spec, _add);                         \
		char *_text =                                                                      \
			_who ? json_dumps(_who, JSON_COMPACT | JSON_SORT_KEYS) : xstrdup("none");  \
		EXPECT_STREQ(want, _text);                                                         \
		free(_text);                                                                       \
		json_decref(_who);                                                                 \
		json_decref(_add);                                                                 \
	} while (0)

TEST_F(root, users)
{
	expect_user("", NULL, "{\"additionalGids\":[0],\"gid\":0,\"home\":\"/root\",\"uid\":0}");
	expect_user(
		"ann", NULL,
		"{\"additionalGids\":[1001,10],\"gid\":1001,\"home\":\"/home/ann\",\"uid\":1000}");
	expect_user(
		"1000", NULL,
		"{\"additionalGids\":[1001,10],\"gid\":1001,\"home\":\"/home/ann\",\"uid\":1000}");
	expect_user("ann:wheel", NULL,
		    "{\"additionalGids\":[10],\"gid\":10,\"home\":\"/home/ann\",\"uid\":1000}");
	expect_user("77:88", NULL,
		    "{\"additionalGids\":[88],\"gid\":88,\"home\":\"/\",\"uid\":77}");
	expect_user("77", json_pack("[s, s]", "wheel", "5"),
		    "{\"additionalGids\":[0,10,5],\"gid\":0,\"home\":\"/\",\"uid\":77}");
	expect_user("bob", NULL, "none");
	expect_user("ann:nosuch", NULL, "none");
	expect_user("4294967296", NULL, "none");
}

/* A link in the root cannot name a file of the node. */
TEST_F(root, links_stay_inside)
{
	char *path = xasprintf("%s/link", self->dir),
	     *made = xasprintf("%s/etc/deep/er", self->dir);
	int fd;

	ASSERT_EQ(0, symlink("/../../../etc", path));
	fd = root_open(self->dir, "/link/group", O_RDONLY);
	EXPECT_LE(0, fd);
	close(fd);
	EXPECT_EQ(-ENOENT, root_open(self->dir, "/link/hostname", O_RDONLY));
	EXPECT_EQ(0, root_mkdir(self->dir, "/link/deep/er", getuid(), getgid()));
	EXPECT_EQ(0, access(made, F_OK));
	free(path);
	free(made);
}

TEST(capabilities)
{
	json_t *host = json_pack("{s:[s, s], s:[s]}", "CapAdd", "NET_ADMIN", "CAP_SYS_TIME",
				 "CapDrop", "mknod"),
	       *caps;
	struct err err = ERR_INIT;
	char *text;

	ASSERT_EQ(0, spec_caps(host, &caps, &err));
	text = json_dumps(caps, JSON_COMPACT);
	EXPECT_EQ(NULL, strstr(text, "CAP_MKNOD"));
	if (!getuid()) {
		EXPECT_NE(NULL, strstr(text, "CAP_NET_ADMIN"));
		EXPECT_NE(NULL, strstr(text, "CAP_CHOWN"));
	}
	free(text);
	json_decref(caps);
	json_object_set_new(host, "CapDrop", json_pack("[s]", "ALL"));
	json_object_set_new(host, "CapAdd", json_pack("[s]", "NOSUCH"));
	EXPECT_EQ(-EINVAL, spec_caps(host, &caps, &err));
	EXPECT_STREQ("invalid CapAdd: unknown capability: \"NOSUCH\"", err.msg);
	json_decref(host);
}

TEST(filter)
{
	json_t *few = json_pack("[s]", "CAP_CHOWN"),
	       *many = json_pack("[s, s]", "CAP_CHOWN", "CAP_SYS_ADMIN");
	json_t *a = seccomp_default(few), *b = seccomp_default(many);
	char *bpf_a = filter_compile(a), *bpf_b = filter_compile(b);

	if (!bpf_a)
		SKIP(goto out, "libseccomp is not installed");
	EXPECT_STRNE(bpf_a, bpf_b);
	EXPECT_LT(1000, strlen(bpf_a));
out:
	free(bpf_a);
	free(bpf_b);
	json_decref(a);
	json_decref(b);
	json_decref(few);
	json_decref(many);
}

TEST(archive_names)
{
	const struct {
		const char *path, *top, *base, *want;
	} t[] = {
		{"/a/b", "/a/b", "b", "b"},	 {"/a/b/c", "/a/b", "b", "b/c"},
		{"/a/b/c", "/a/b/", ".", "./c"}, {"/", "/", "", ""},
		{"/x/y", "/", "", "x/y"},	 {"/x", "/", ".", "./x"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		char *got = rebase(t[i].path, t[i].top, t[i].base);

		EXPECT_STREQ(t[i].want, got);
		free(got);
	}
	EXPECT_TRUE(path_climbs("../x"));
	EXPECT_TRUE(path_climbs("a/.."));
	EXPECT_TRUE(path_climbs("a//../b"));
	EXPECT_FALSE(path_climbs("a/..b/c.."));
}

/* A folder goes into an archive and comes out of it as it was; a volume gets the same. */
TEST_F(root, round_trip)
{
	char *out = xasprintf("%s/out", self->dir), *copy = xasprintf("%s/copy", self->dir),
	     *tar = xasprintf("%s/x.tar", self->dir), *etc = xasprintf("%s/etc", self->dir),
	     *read_back = xasprintf("%s/out/top/group", self->dir),
	     *copied = xasprintf("%s/copy/group", self->dir),
	     *hole = xasprintf("%s/etc/hole", self->dir),
	     *hole_back = xasprintf("%s/out/top/hole", self->dir);
	struct err err = ERR_INIT;
	struct stat st;
	int fd, here;

	mkdir(out, 0755);
	mkdir(copy, 0755);
	fd = open(hole, O_WRONLY | O_CREAT, 0600);
	ASSERT_EQ(0, ftruncate(fd, 3 << 20));
	ASSERT_EQ(1, pwrite(fd, "x", 1, 1 << 20));
	close(fd);
	fd = open(tar, O_RDWR | O_CREAT, 0600);
	ASSERT_EQ(0, tar_write_tree(fd, etc, "top", &err));
	lseek(fd, 0, SEEK_SET);
	here = open(".", O_PATH | O_DIRECTORY);
	ASSERT_EQ(0, chdir(out));
	EXPECT_EQ(0, tar_read_here(fd, false, true, &err));
	ASSERT_EQ(0, fchdir(here));
	close(here);
	close(fd);
	EXPECT_EQ(0, stat(read_back, &st));
	EXPECT_EQ(0640, st.st_mode & 0777);
	EXPECT_EQ(0, stat(hole_back, &st));
	EXPECT_EQ(3 << 20, st.st_size);
	EXPECT_EQ(0, copy_into_empty(self->dir, "/etc", copy, &err));
	EXPECT_EQ(0, access(copied, F_OK));
	/* it is not empty any more: nothing is copied again */
	unlink(copied);
	EXPECT_EQ(0, copy_into_empty(self->dir, "/etc", copy, &err));
	EXPECT_NE(0, access(copied, F_OK));
	free(out);
	free(copy);
	free(tar);
	free(etc);
	free(read_back);
	free(copied);
	free(hole);
	free(hole_back);
}

TEST_HARNESS_MAIN
