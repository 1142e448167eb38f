/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A manager's keys at rest: the data encryption key (DEK) of its raft log and its TLS key. With
 * autolock both are sealed under the swarm's unlock key (the KEK) and only that key opens them;
 * without, the DEK lies beside the log, readable by root only. Files: <swarm>/raft/keys.json and
 * <swarm>/certificates/swarm-node.key, each replaced atomically.
 * The form is ours (SWARM-WIRE §3 "At rest"): AES-256-GCM, the PEM key as an encrypted PKCS#8.
 * Source: swarmkit manager/deks.go, ca/keyreadwriter.go.
 */
#pragma once

#include "core/err.h"

enum { VAULT_KEY_SIZE = 32 };

struct vault {
	uint8_t dek[VAULT_KEY_SIZE];
	uint8_t kek[VAULT_KEY_SIZE];
	bool locked; /* sealed at rest: kek is set */
	/* The DEK to come: until the log is encrypted with it, either of both may be the right one. */
	bool has_next;
	uint8_t next[VAULT_KEY_SIZE];
};

/* A new DEK, unsealed. */
int vault_new(struct vault *ret, struct err *err);
/* Choose the DEK to come, unless there is one: the present one was readable until now. */
int vault_choose_next(struct vault *v, struct err *err);
/* The log is encrypted with it: it takes the present one's place. */
void vault_take_next(struct vault *v);
/* Whether what lies below dir (…/swarm) is sealed. False when there is nothing. */
bool vault_is_sealed(const char *dir);
/*
 * Read; kek (may be NULL) opens a sealed one. -EACCES "invalid key" when it does not fit, -ENOKEY
 * when one is needed, -ENOENT when there is no vault.
 */
int vault_load(const char *dir, const uint8_t *kek, struct vault *ret, struct err *err);
/* Write keys.json as v says. */
int vault_save(const char *dir, const struct vault *v, struct err *err);
/* The text for swarm-node.key of a plain PEM key, sealed when v says so. malloc'd. */
int vault_seal_pem(const struct vault *v, const char *pem, char **ret, struct err *err);
/* The plain PEM key of such a text. malloc'd. -EACCES. */
int vault_open_pem(const uint8_t *kek, const char *text, char **ret, struct err *err);
