/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What buildah says, as the classic builder would say it. On a build's thread. job->build: "quiet";
 * "kept", the lines of a quiet build; "why", what the runtime said of a command that it did not run.
 */
#pragma once

#include "image/image_impl.h"

/* A piece of the stream; a quiet build keeps its words for when it fails. */
void build_stream(struct image_job *job, const char *text);
/* Take whole lines of standard output out of b and pass them on; all: also what has no end of line. */
void build_say_lines(struct image_job *job, struct buf *b, bool all);
/*
 * Standard error, which commands write to, in red as dockerd has it. Unless all, the last whole
 * line stays in b: when the build fails it is buildah's reason.
 */
void build_say_errors(struct image_job *job, struct buf *b, bool all);
/* The error of a build by what is left of standard error: in dockerd's words, without what is only of this machine. */
int build_error(struct image_job *job, struct buf *errors);
