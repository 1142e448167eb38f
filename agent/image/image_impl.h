/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of image/ share. */
#pragma once

#include "image/image.h"
#include "image/layer.h"
#include "image/reference.h"

struct images {
	struct loop *loop;
	struct events *events;
	char *root; /* data root */
	char *exec_root;
	char **insecure_registries;
	struct map by_id; /* struct image */
	struct map by_ref; /* full reference → struct image */
};

/* An image that a thread has put on disk, to be taken over by the loop. */
struct imported {
	char id[DIGEST_SIZE];
	int64_t size;
	json_t *refs; /* array of full references to give it */
	char *repo_digest; /* or NULL */
};

/*
 * On any thread. Take the images that a folder holds, which is the content of a Docker archive
 * (manifest.json), an OCI layout (index.json) or what skopeo writes to "dir:". Appends to *ret (grown). -EINVAL when it is neither.
 */
int import_dir(const char *root, const char *dir, struct imported **ret, size_t *n,
	       struct err *err);
void imported_done(struct imported *v, size_t n);
/* On the loop: know the image, name it, save. */
struct image *images_adopt(struct images *images, const struct imported *im, struct err *err);
/*
 * On any thread: write an image into a new folder as skopeo's "dir:" has them, blobs hard-linked. Of
 * its forms on disk it is the one that takes configurations as they are: in OCI's there are no
 * health checks, shells and triggers, and an image that is converted gets another ID.
 */
int export_dir(const char *root, const char *id, json_t *config, const char *dir, struct err *err);
/* A fresh folder below <data_root>/image/tmp; malloc'd. */
char *tmp_dir(const char *root, const char *what, struct err *err);

/* A job on a thread of its own that reports lines and ends with an image. */
struct image_job {
	struct images *images;
	image_progress progress;
	image_done done;
	void *arg;
	int (*run)(struct image_job *job); /* on the thread; fills err, found */
	struct imported *found;
	size_t n_found;
	struct err err;
	int rc, fd;
	/* of the particular job */
	char *ref, *auth, *text;
	json_t *config, *build;
	struct image *image;
	char *root;
};

enum { FETCH_TYPE_SIZE = 128, DOCKERFILE_MAX = 1 << 20 };
/*
 * On the job's thread: job->fd becomes a file with what stands at the address, at its beginning.
 * what is the status of the lines that tell how far it is.
 */
int image_fetch(struct image_job *job, const char *url, const char *what,
		char ret_type[FETCH_TYPE_SIZE]);
/*
 * The folder, below dir, with what is to be built: of job->fd, or of "remote" of job->build. Malloc'd.
 * May set "dockerfile".
 */
int context_make(struct image_job *job, const char *dir, char **ret);

/*
 * On the job's thread: the tar that job->fd gives becomes a layer; ret_size is its content's, in
 * bytes.
 */
int image_job_layer(struct image_job *job, char ret_diff_id[DIGEST_SIZE], int64_t *ret_size);
/* On the job's thread: the image of this config, of so many bytes, is what was found, under job->ref. */
int image_job_made(struct image_job *job, json_t *config, int64_t size);

/* Takes the job over; ends in done(). */
void image_job_start(struct image_job *job);
/* From the job's thread; line is stolen. */
void image_job_line(struct image_job *job, json_t *line);
