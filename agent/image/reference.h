/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of images: "alpine", "eon01/infinite:2", "host:5000/a/b@sha256:…". Pure.
 * Source: the grammar of github.com/distribution/reference.
 */
#pragma once

#include "core/err.h"

struct reference {
	char name[256]; /* with registry: "docker.io/library/alpine" */
	char tag[129]; /* "" when there is none */
	char digest[72]; /* "sha256:…" or "" */
};

/*
 * Parse and complete: without a registry it is docker.io, a single-part name there is in library/;
 * with neither tag nor digest the tag is "latest". -EINVAL "invalid reference format".
 */
int reference_parse(const char *s, struct reference *ret, struct err *err);
/* The short form that users see: "alpine", "eon01/infinite", "host:5000/a". Points into r->name. */
const char *reference_familiar(const struct reference *r);
/* "sha256:" and 64 hex digits. */
bool digest_valid(const char *s);
