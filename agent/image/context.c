// SPDX-License-Identifier: Apache-2.0
/*
 * What a build works on: a tar that the client sends, or what stands at an address: a tar, a lone
 * Dockerfile, or a git repository, "https://host/repository.git#branch:folder".
 * Source: moby builder/remotecontext/{detect,remote}.go, builder/remotecontext/git/gitutils.go.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "disk/file.h"
#include "image/image_impl.h"
#include "loop/loop.h"
#include "rpc/fetch.h"

struct told {
	struct image_job *job;
	const char *what;
};

static void on_progress(int64_t now, int64_t total, void *arg)
{
	struct told *t = arg;
	json_t *detail = json_pack("{s:I}", "current", (json_int_t)now);

	if (total > 0)
		json_object_set_new(detail, "total", json_integer(total));
	image_job_line(t->job,
		       json_pack("{s:s, s:o}", "status", t->what, "progressDetail", detail));
}

int image_fetch(struct image_job *job, const char *url, const char *what,
		char ret_type[FETCH_TYPE_SIZE])
{
	_cleanup_free_ char *dir = xasprintf("%s/image/tmp", job->root);
	struct told told = {job, what};
	struct fetch f = {
		.url = url,
		.fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600),
		.progress = on_progress,
		.arg = &told,
		.body = BUF_INIT,
	};
	int rc;

	if (f.fd < 0)
		return err_errno(&job->err, -errno, "cannot make a file in %s", dir);
	rc = fetch_file(&f, &job->err);
	buf_done(&f.body);
	if (rc) {
		close(f.fd);
		return rc;
	}
	lseek(f.fd, 0, SEEK_SET);
	if (job->fd >= 0)
		close(job->fd);
	job->fd = f.fd;
	strcpy(ret_type, f.type);
	return 0;
}

static bool is_git(const char *remote)
{
	size_t n = strcspn(remote, "#");

	if (starts_with(remote, "git://") || starts_with(remote, "github.com/") ||
	    starts_with(remote, "git@"))
		return true;
	return (starts_with(remote, "http://") || starts_with(remote, "https://")) && n > 4 &&
	       !strncmp(remote + n - 4, ".git", 4);
}

static bool is_text(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)p[i] < ' ' && !strchr("\t\n\r\f\033", p[i]))
			return false;
	return true;
}

/* By its type, and by its beginning where the server does not know better. */
static int is_dockerfile(struct image_job *job, const char *type, bool *ret)
{
	static const char *const archives[] = {
		"application/tar",    "application/x-tar",  "application/gzip",
		"application/x-gzip", "application/bzip2",  "application/x-bzip2",
		"application/bzip",   "application/x-bzip", "application/xz",
		"application/x-xz",
	};
	char head[512];
	ssize_t n = pread(job->fd, head, sizeof(head), 0);

	if (n <= 0)
		return err_set(&job->err, -EINVAL, "empty response");
	for (size_t i = 0; i < ARRAY_SIZE(archives); i++)
		if (!strcmp(type, archives[i])) {
			*ret = false;
			return 0;
		}
	if (*type && strcmp(type, "text/plain") && strcmp(type, "application/octet-stream"))
		return err_set(&job->err, -EINVAL, "unsupported Content-Type \"%s\"", type);
	*ret = !strcmp(type, "text/plain") || is_text(head, n);
	return 0;
}

static int from_url(struct image_job *job, const char *url, const char *context)
{
	_cleanup_free_ char *what = xasprintf("Downloading build context from remote url: %s", url),
			    *path = xasprintf("%s/Dockerfile", context);
	_cleanup_buf_ struct buf text = BUF_INIT;
	char type[FETCH_TYPE_SIZE], chunk[16384];
	bool single = false;
	ssize_t n;
	int rc = image_fetch(job, url, what, type);

	if (rc) {
		err_prefix(&job->err, "error downloading remote context %s", url);
		return rc;
	}
	rc = is_dockerfile(job, type, &single);
	if (rc)
		return rc;
	if (!single)
		return tar_unpack(job->fd, context, false, NULL, &job->err);
	while ((n = read(job->fd, chunk, sizeof(chunk))) > 0 && text.len < DOCKERFILE_MAX)
		buf_add(&text, chunk, n);
	json_object_set_new(job->build, "dockerfile", json_string("Dockerfile"));
	return file_write_volatile(path, text.data, text.len, 0644, &job->err);
}

/* --- git --- */

enum { GIT_ARGS_MAX = 16 };

/* git in the folder; what: "" or what went wrong when it fails. The arguments end with NULL. */
static int git(struct image_job *job, const char *dir, const char *what, const char *const *args)
{
	const char *argv[GIT_ARGS_MAX] = {
		"env", "GIT_TERMINAL_PROMPT=0", "GIT_PROTOCOL_FROM_USER=0", "git", "-C", dir};
	_cleanup_buf_ struct buf errors = BUF_INIT;
	size_t n = 6;
	int rc;

	while (*args && n + 1 < GIT_ARGS_MAX)
		argv[n++] = *args++;
	rc = run_program(argv, NULL, NULL, &errors);
	if (rc < 0)
		return err_errno(&job->err, rc, "cannot run git");
	return rc ? err_set(&job->err, -EIO, "%s: %.800s", what, errors.data) : 0;
}

#define GIT(job, dir, what, ...) git(job, dir, what, (const char *const[]){__VA_ARGS__, NULL})

static int clone(struct image_job *job, const char *dir, const char *url, const char *ref)
{
	_cleanup_free_ char *modules = xasprintf("%s/.gitmodules", dir);
	int rc = GIT(job, dir, "failed to init repo", "init", "-q");

	if (!rc)
		rc = GIT(job, dir, "failed add origin repo", "remote", "add", "origin", url);
	if (rc)
		return rc;
	/* not every server can give a part of the history */
	rc = GIT(job, dir, "error fetching", "fetch", "-q", "--depth", "1", "origin", "--", ref);
	if (rc)
		rc = GIT(job, dir, "error fetching", "fetch", "-q", "origin", "--", ref);
	if (!rc)
		rc = GIT(job, dir, "error checking out", "checkout", "-q", "FETCH_HEAD");
	if (!rc && !access(modules, F_OK))
		rc = GIT(job, dir, "error initializing submodules", "submodule", "update", "-q",
			 "--init", "--recursive", "--depth=1");
	return rc;
}

/* The folder of the repository that is the context; malloc'd. */
static int inside(struct image_job *job, const char *root, const char *sub, char **ret)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", root, sub), *real = realpath(path, NULL),
			    *top = realpath(root, NULL);
	size_t n = top ? strlen(top) : 0;
	struct stat st;

	if (!real || !top || strncmp(real, top, n) || (real[n] && real[n] != '/'))
		return err_set(&job->err, -EINVAL,
			       "error setting git context, \"%s\" not within git root", sub);
	if (stat(real, &st) || !S_ISDIR(st.st_mode))
		return err_set(&job->err, -EINVAL, "error setting git context, not a directory: %s",
			       sub);
	*ret = steal_ptr(real);
	return 0;
}

static int from_git(struct image_job *job, const char *remote, char **context)
{
	_cleanup_free_ char *copy = xasprintf("%s%s",
					      starts_with(remote, "github.com/") ? "https://" : "",
					      remote),
			    *root = *context;
	char *ref = strchr(copy, '#'), *sub = NULL;
	int rc;

	*context = NULL;
	if (ref) {
		*ref++ = 0;
		sub = strchr(ref, ':');
	}
	if (sub)
		*sub++ = 0;
	if (str_empty(ref))
		ref = "HEAD";
	if (*ref == '-')
		return err_set(&job->err, -EINVAL, "invalid refspec: %s", ref);
	rc = clone(job, root, copy, ref);
	if (rc)
		return rc;
	return inside(job, root, sub ? sub : "", context);
}

int context_make(struct image_job *job, const char *dir, char **ret)
{
	const char *remote = json_string_value(json_object_get(job->build, "remote"));
	_cleanup_free_ char *context = xasprintf("%s/context", dir);
	int rc = dir_make(context, 0755, &job->err);

	if (rc)
		return rc;
	if (!remote)
		rc = tar_unpack(job->fd, context, false, NULL, &job->err);
	else if (is_git(remote))
		rc = from_git(job, remote, &context);
	else if (starts_with(remote, "http://") || starts_with(remote, "https://"))
		rc = from_url(job, remote, context);
	else
		rc = err_set(&job->err, -EINVAL, "remoteURL (%s) could not be recognized as URL",
			     remote);
	if (!rc)
		*ret = steal_ptr(context);
	return rc;
}
