// SPDX-License-Identifier: Apache-2.0
#include "image/build_output.h"

#include <errno.h>
#include <stdio.h>

void build_stream(struct image_job *job, const char *text)
{
	json_t *line = json_pack("{s:s}", "stream", text);

	if (json_is_true(json_object_get(job->build, "quiet")))
		json_array_append_new(json_object_get(job->build, "kept"), line);
	else
		image_job_line(job, line);
}

static const char *last_word(const char *line)
{
	const char *space = strrchr(line, ' ');

	return space ? space + 1 : line;
}

/* What buildah says of its own doings. */
static bool is_chatter(const char *line)
{
	static const char *const begins[] = {
		"--> ",	    "COMMIT",		"Trying to pull ",    "Getting image source",
		"Copying ", "Writing manifest", "Storing signatures", "Successfully tagged",
		"time=\"",  ": exit status ",
	};

	for (size_t i = 0; i < ARRAY_SIZE(begins); i++)
		if (starts_with(line, begins[i]))
			return true;
	return false;
}

/*
 * buildah says "STEP 1/2: FROM alpine", and for several stages "[1/2] STEP 1/2: …"; the classic
 * builder says "Step 1/2 : FROM alpine".
 */
static void say_line(struct image_job *job, char *line)
{
	unsigned int i, n;
	int used = 0;
	char *at = strstr(line, "STEP ");

	if (at && (at == line || line[0] == '[') &&
	    sscanf(at, "STEP %u/%u: %n", &i, &n, &used) == 2 && used) {
		char *text = xasprintf("Step %u/%u : %s\n", i, n, at + used);

		json_object_set_new(job->build, "step", json_string(at + used));
		build_stream(job, text);
		free(text);
	} else if (starts_with(line, "--> ") && strspn(last_word(line), "0123456789abcdef") >= 11) {
		char *text =
			xasprintf("%s ---> %.12s\n",
				  starts_with(line, "--> Using cache") ? " ---> Using cache\n" : "",
				  last_word(line));

		build_stream(job, text);
		free(text);
	} else if (is_chatter(line)) {
		return;
	} else {
		char *text = xasprintf("%s\n", line);

		build_stream(job, text);
		free(text);
	}
}

void build_say_lines(struct image_job *job, struct buf *b, bool all)
{
	char *nl;

	while ((nl = memchr(b->data, '\n', b->len))) {
		*nl = 0;
		say_line(job, b->data);
		buf_consume(b, nl - b->data + 1);
	}
	if (all && b->len) {
		say_line(job, b->data);
		buf_reset(b);
	}
}

/* How buildah begins to say why the runtime did not run a command: "… for [command]: why". */
static const char run_failed[] = "error running container: from ";

void build_say_errors(struct image_job *job, struct buf *b, bool all)
{
	char *nl, *next;

	while ((nl = memchr(b->data, '\n', b->len))) {
		char *text;

		next = memchr(nl + 1, '\n', b->len - (nl + 1 - b->data));
		if (!next && !all)
			return;
		*nl = 0;
		text = xasprintf("\033[91m%s\n\033[0m", b->data);
		if (starts_with(b->data, run_failed) && strstr(b->data, "]: "))
			json_object_set_new(job->build, "why",
					    json_string(strstr(b->data, "]: ") + 3));
		else if (!is_chatter(b->data))
			build_stream(job, text);
		free(text);
		buf_consume(b, nl - b->data + 1);
	}
}

/* The last line of an error text that says something. */
static const char *last_line(struct buf *b)
{
	char *nl;

	while (b->len && b->data[b->len - 1] == '\n')
		b->data[--b->len] = 0;
	nl = strrchr(b->data, '\n');
	return nl ? nl + 1 : b->data;
}

/* Why a step failed, in the classic builder's words. */
static int step_error(struct image_job *job, const char *step, size_t len, const char *why)
{
	const char *runtime = json_string_value(json_object_get(job->build, "why")), *at,
		   *status = strstr(why, "exit status ");
	int code;

	if (starts_with(step, "RUN ") && runtime)
		return err_set(&job->err, -EIO,
			       "failed to create task for container: failed to create shim task: "
			       "OCI runtime create failed: %s: unknown",
			       runtime);
	if (starts_with(step, "RUN ") && status && sscanf(status, "exit status %d", &code) == 1)
		return err_set(&job->err, -EIO,
			       step[4] == '[' ? "The command '%.*s' returned a non-zero code: %d"
					      : "The command '/bin/sh -c %.*s' returned a non-zero "
						"code: %d",
			       (int)len - 4, step + 4, code);
	at = strstr(why, "unknown user error looking up user \"");
	if (at)
		return err_set(&job->err, -EIO,
			       "unable to find user %.*s: no matching entries in passwd file",
			       (int)strcspn(at + 36, "\""), at + 36);
	if (strstr(why, "copier: stat: [\""))
		return err_set(&job->err, -EIO, "%.*s failed: no source files were specified",
			       (int)strcspn(step, " "), step);
	at = strstr(why, "copier: stat: \"/");
	if (at && strstr(at, "no such file"))
		return err_set(&job->err, -EINVAL,
			       "%.*s failed: file not found in build context or excluded by "
			       ".dockerignore: stat %.*s: file does not exist",
			       (int)strcspn(step, " "), step, (int)strcspn(at + 16, "\""), at + 16);
	at = strstr(why, " &imagebuilder.");
	return err_set(&job->err, -EIO, "%.*s", (int)(at ? (size_t)(at - why) : strlen(why)), why);
}

static const char quote[] = "\": ";

/*
 * Where a step's text ends; said is how the last one began. Of a command in JSON the text is another, and
 * both it and the reason may have quotes.
 */
static const char *step_end(const char *step, const char *said)
{
	size_t n = said ? strlen(said) : 0;
	const char *end = step, *at;

	if (n && !strncmp(step, said, n) && starts_with(step + n, quote))
		return step + n;
	while ((at = strstr(end + 1, quote))) {
		end = at;
		if (!starts_with(step, "RUN "))
			break;
	}
	return end;
}

int build_error(struct image_job *job, struct buf *errors)
{
	const char *why = last_line(errors), *step = strstr(why, "building at STEP \""), *end;
	json_t *v;
	size_t i;

	json_array_foreach (json_object_get(job->build, "kept"), i, v)
		image_job_line(job, json_incref(v));
	if (starts_with(why, "Error: "))
		why += 7;
	if (!step)
		return err_set(&job->err, -EIO, "%s", why);
	step += strlen("building at STEP \"");
	end = step_end(step, json_string_value(json_object_get(job->build, "step")));
	return step_error(job, step, end - step,
			  starts_with(end, quote) ? end + strlen(quote) : end);
}
