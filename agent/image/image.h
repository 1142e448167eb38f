/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images: blobs by digest, layers unpacked once and shared, names.
 *
 *   <data_root>/image/blobs/sha256/HEX   configurations, and layers as uncompressed tars by diff ID
 *   <data_root>/image/images.json        names, and for each image what is known beside its config
 *   <data_root>/overlay/HEX16/           a layer's content, by its diff ID
 *
 * An image's ID is the digest of its configuration. Blobs and layers are written beside and
 * renamed, so that an interrupted pull or load leaves no half image. All calls on the loop's
 * thread; what takes long runs on a thread of its own.
 * Source: the OCI image specification; moby image/spec.
 */
#pragma once

#include <jansson.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/list.h"
#include "core/map.h"

struct loop;
struct events;
struct images;

struct images_options {
	struct loop *loop;
	struct events *events;
	const char *data_root, *exec_root;
	char **insecure_registries; /* NULL-terminated or NULL */
};

struct image {
	char id[72]; /* "sha256:…" */
	json_t *config; /* the OCI configuration */
	json_t *refs; /* array: "docker.io/library/alpine:latest" */
	json_t *digests; /* array: "docker.io/library/alpine@sha256:…" */
	int64_t created_ns, size;
	unsigned int users; /* containers */
};

int images_open(const struct images_options *opt, struct images **ret, struct err *err);
void images_free(struct images *images);

/* By name, ID or unique prefix of an ID. Borrowed. -ENOENT "No such image: x:latest". */
struct image *images_find(struct images *images, const char *ref, struct err *err);
/* In no particular order: start with pos 0; NULL at the end. */
struct image *images_next(struct images *images, size_t *pos);
const char *image_id(const struct image *img);
json_t *image_config(const struct image *img); /* borrowed */
/* Append "top:…:bottom", folders for overlayfs' lowerdir option. */
void image_lowerdirs(struct images *images, const struct image *img, struct buf *ret);
/* A container uses the image. */
void image_get(struct image *img);
void image_put(struct image *img);

/* ref must be a name. */
int images_tag(struct images *images, struct image *img, const char *ref, struct err *err);
/* Know the image also as "name@sha256:…", as one who checked it does. -EINVAL: ref has no digest. */
int images_know_digest(struct images *images, struct image *img, const char *ref, struct err *err);
/*
 * Docker's rmi: untag, and delete with the last name. Appends {"Untagged": …}, {"Deleted": …}.
 * -EBUSY with dockerd's sentence when a container uses it.
 */
int images_remove(struct images *images, const char *ref, bool force, json_t *report,
		  struct err *err);
json_t *images_summary(struct images *images, const struct image *img);
json_t *images_inspect(struct images *images, const struct image *img);
json_t *images_history(struct images *images, const struct image *img);
int64_t images_layers_size(struct images *images);
size_t images_count(struct images *images);

/* progress gets JSON lines (borrowed) of Docker's streams; done is called last. */
typedef void (*image_progress)(json_t *line, void *arg);
typedef void (*image_done)(const struct err *err /* NULL: well */, struct image *img, void *arg);

/* Read a Docker or OCI archive from fd (taken over). */
void images_load(struct images *images, int fd, bool quiet, image_progress progress,
		 image_done done, void *arg);
struct image_import {
	const char *url; /* where the tar is; NULL: fd has it */
	const char *ref, *message; /* or NULL */
	json_t *config; /* the image's "config" */
};
/* Make an image of one layer, a tar from fd (taken over; -1 with an address). im is borrowed. */
void images_import(struct images *images, const struct image_import *im, int fd,
		   image_progress progress, image_done done, void *arg);
/* A Dockerfile's line in an image's "config". -EINVAL "X is not a valid change command". */
int image_change(json_t *config, const char *line, struct err *err);
struct image_commit {
	json_t *config; /* the new image's "config" */
	const char *ref, *author, *comment; /* or NULL */
	const char *created_by;
};
/* Make an image of parent's layers and the tar of one more, from fd (taken over). c is borrowed. */
void images_commit(struct images *images, struct image *parent, int fd,
		   const struct image_commit *c, image_done done, void *arg);
/* Write an archive of the named images to fd (taken over). names is borrowed for the call. */
int images_save(struct images *images, const char *const *names, size_t n, int fd, struct err *err);
/* auth: decoded X-Registry-Auth JSON or NULL. */
void images_pull(struct images *images, const char *ref, const char *auth, image_progress progress,
		 image_done done, void *arg);
void images_push(struct images *images, const char *ref, const char *auth, image_progress progress,
		 image_done done, void *arg);

/*
 * docker search: what the Hub, or the registry that the term names ("host:5000/term"), finds. results
 * is a borrowed array of its objects. -EINVAL: no such term; -ENOENT, -EIO: it does not answer so.
 */
void images_search(struct images *images, const char *term, unsigned int limit, const char *auth,
		   void (*done)(const struct err *err, json_t *results, void *arg), void *arg);

/* Strings and objects are borrowed for the call. */
struct image_build {
	const char *dockerfile; /* path in the context; NULL: Dockerfile */
	const char *remote; /* where the context is; NULL: fd has it */
	const char *const *tags; /* NULL-terminated, or NULL */
	json_t *build_args, *labels; /* objects or NULL */
	const char *target, *platform; /* or NULL */
	bool no_cache, quiet;
	bool pull; /* bases are the registries', whatever is here */
	/* of the containers of RUN steps */
	const char *runtime; /* OCI runtime */
	const char *netns; /* path; NULL: the node's */
	const char *net_dir; /* has their hosts and resolv.conf */
	const char *cgroup;
	json_t *caps; /* array of "CAP_…" */
	json_t *limits; /* HostConfig's Memory, MemorySwap, Cpu…, ShmSize, Ulimits */
};
/* The context is a tar, compressed or not, from fd (taken over; -1 with an address). */
void images_build(struct images *images, const struct image_build *b, int fd,
		  image_progress progress, image_done done, void *arg);

/* "user:password" of X-Registry-Auth's JSON (may be NULL), or NULL; malloc'd. */
char *image_credentials(const char *auth);
/* Whether the registry of a whole name may be spoken to without TLS. */
bool images_insecure(struct images *images, const char *name);
