// SPDX-License-Identifier: Apache-2.0
#include "kselftest_harness.h"

#include <sys/stat.h>

#include "disk/file.h"

FIXTURE(file)
{
	char dir[64];
	char *path;
};

FIXTURE_SETUP(file)
{
	strcpy(self->dir, "/tmp/file_test.XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	self->path = xasprintf("%s/a/b/c", self->dir);
}

FIXTURE_TEARDOWN(file)
{
	free(self->path);
	ASSERT_EQ(0, dir_remove_tree(self->dir, NULL));
	ASSERT_NE(0, access(self->dir, F_OK));
}

TEST_F(file, write_replace_read)
{
	struct buf got = BUF_INIT;
	struct stat st;

	ASSERT_EQ(-ENOENT, file_read(self->path, 10, &got, NULL));
	ASSERT_EQ(0, dir_make(self->path, 0755, NULL));
	free(self->path);
	self->path = xasprintf("%s/a/b/c/file", self->dir);
	ASSERT_EQ(0, file_write_atomic(self->path, "old text", 8, 0600, NULL));
	ASSERT_EQ(0, file_write_atomic(self->path, "new", 3, 0640, NULL));
	ASSERT_EQ(0, file_read(self->path, 10, &got, NULL));
	ASSERT_STREQ("new", got.data);
	ASSERT_EQ(0, stat(self->path, &st));
	ASSERT_EQ(0640, st.st_mode & 0777);
	buf_reset(&got);
	ASSERT_EQ(-EFBIG, file_read(self->path, 2, &got, NULL));
	ASSERT_EQ(-ENOTDIR, dir_make(self->path, 0755, NULL));
	buf_done(&got);
}

TEST_F(file, tree_with_links_is_removed_without_following)
{
	char *outside = xasprintf("%s.outside", self->dir), *link = xasprintf("%s/link", self->dir);

	ASSERT_EQ(0, file_write_atomic(outside, "x", 1, 0600, NULL));
	ASSERT_EQ(0, dir_make(self->path, 0755, NULL));
	ASSERT_EQ(0, symlink(outside, link));
	ASSERT_EQ(0, dir_remove_tree(link, NULL));
	ASSERT_EQ(0, symlink("/tmp", link));
	ASSERT_EQ(0, dir_remove_tree(self->dir, NULL));
	ASSERT_EQ(0, access(outside, F_OK));
	ASSERT_EQ(0, dir_remove_tree(outside, NULL));
	free(outside);
	free(link);
}

TEST_F(file, lock_is_exclusive)
{
	char *lock = xasprintf("%s/lock", self->dir);
	int fd = file_lock(lock, NULL);

	ASSERT_LE(0, fd);
	ASSERT_EQ(-EWOULDBLOCK, file_lock(lock, NULL));
	close(fd);
	fd = file_lock(lock, NULL);
	ASSERT_LE(0, fd);
	close(fd);
	free(lock);
}

TEST_HARNESS_MAIN
