// SPDX-License-Identifier: Apache-2.0
#include "manager/vault.h"

#include <errno.h>
#include <stdlib.h>

#include "disk/file.h"
#include "kselftest_harness.h"
#include "manager/ca.h"

FIXTURE(vault)
{
	char dir[32];
	struct vault v;
};

FIXTURE_SETUP(vault)
{
	_cleanup_free_ char *raft = NULL;

	strcpy(self->dir, "/tmp/vault-XXXXXX");
	ASSERT_NE(mkdtemp(self->dir), NULL);
	raft = xasprintf("%s/raft", self->dir);
	ASSERT_EQ(dir_make(raft, 0700, NULL), 0);
	ASSERT_EQ(vault_new(&self->v, NULL), 0);
}

FIXTURE_TEARDOWN(vault)
{
	_cleanup_free_ char *cmd = xasprintf("rm -rf %s", self->dir);

	ASSERT_EQ(system(cmd), 0);
}

TEST_F(vault, unsealed)
{
	struct vault got;

	EXPECT_EQ(vault_load(self->dir, NULL, &got, NULL), -ENOENT);
	ASSERT_EQ(vault_save(self->dir, &self->v, NULL), 0);
	EXPECT_FALSE(vault_is_sealed(self->dir));
	ASSERT_EQ(vault_load(self->dir, NULL, &got, NULL), 0);
	EXPECT_EQ(memcmp(got.dek, self->v.dek, VAULT_KEY_SIZE), 0);
	EXPECT_FALSE(got.locked);
}

TEST_F(vault, the_key_to_come_is_kept_until_it_is_taken)
{
	struct vault got, v = self->v;

	ASSERT_EQ(vault_choose_next(&v, NULL), 0);
	EXPECT_NE(memcmp(v.next, v.dek, VAULT_KEY_SIZE), 0);
	for (int locked = 0; locked < 2; locked++) {
		v.locked = locked;
		if (locked)
			ASSERT_EQ(ca_unlock_key_new(v.kek, NULL), 0);
		ASSERT_EQ(vault_save(self->dir, &v, NULL), 0);
		ASSERT_EQ(vault_load(self->dir, locked ? v.kek : NULL, &got, NULL), 0);
		EXPECT_TRUE(got.has_next);
		EXPECT_EQ(memcmp(got.dek, self->v.dek, VAULT_KEY_SIZE), 0);
		EXPECT_EQ(memcmp(got.next, v.next, VAULT_KEY_SIZE), 0);
	}
	vault_take_next(&got);
	EXPECT_EQ(memcmp(got.dek, v.next, VAULT_KEY_SIZE), 0);
	ASSERT_EQ(vault_save(self->dir, &got, NULL), 0);
	ASSERT_EQ(vault_load(self->dir, v.kek, &got, NULL), 0);
	EXPECT_FALSE(got.has_next);
}

TEST_F(vault, sealed)
{
	uint8_t other[VAULT_KEY_SIZE] = {1};
	struct vault got;

	ASSERT_EQ(ca_unlock_key_new(self->v.kek, NULL), 0);
	self->v.locked = true;
	ASSERT_EQ(vault_save(self->dir, &self->v, NULL), 0);
	EXPECT_TRUE(vault_is_sealed(self->dir));
	EXPECT_EQ(vault_load(self->dir, NULL, &got, NULL), -ENOKEY);
	EXPECT_EQ(vault_load(self->dir, other, &got, NULL), -EACCES);
	ASSERT_EQ(vault_load(self->dir, self->v.kek, &got, NULL), 0);
	EXPECT_EQ(memcmp(got.dek, self->v.dek, VAULT_KEY_SIZE), 0);
	EXPECT_TRUE(got.locked);
}

TEST_F(vault, tls_key)
{
	char *csr, *key, *text, *back;
	uint8_t other[VAULT_KEY_SIZE] = {1};

	ASSERT_EQ(ca_csr_new(&csr, &key, NULL), 0);
	ASSERT_EQ(vault_seal_pem(&self->v, key, &text, NULL), 0);
	EXPECT_STREQ(text, key);
	free(text);
	self->v.locked = true;
	ASSERT_EQ(ca_unlock_key_new(self->v.kek, NULL), 0);
	ASSERT_EQ(vault_seal_pem(&self->v, key, &text, NULL), 0);
	EXPECT_EQ(strstr(text, "BEGIN PRIVATE KEY"), NULL);
	EXPECT_EQ(vault_open_pem(NULL, text, &back, NULL), -ENOKEY);
	EXPECT_EQ(vault_open_pem(other, text, &back, NULL), -EACCES);
	ASSERT_EQ(vault_open_pem(self->v.kek, text, &back, NULL), 0);
	EXPECT_STREQ(back, key);
	free(csr);
	free(key);
	free(text);
	free(back);
}

TEST_HARNESS_MAIN
