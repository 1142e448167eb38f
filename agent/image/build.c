// SPDX-License-Identifier: Apache-2.0
/*
 * docker build: buildah runs the Dockerfile behind the classic builder's output. It has a store
 * of its own below the data root, into which the base images that we hold are put first; of the
 * result only new layers are unpacked.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "core/fields.h"
#include "disk/file.h"
#include "image/build_output.h"
#include "loop/loop.h"

extern char **environ;

enum { ARGS_MAX = 512 };

struct args {
	const char *v[ARGS_MAX + 1];
	char *owned[ARGS_MAX];
	size_t n, n_owned;
};

static void arg(struct args *a, const char *s)
{
	if (a->n < ARGS_MAX)
		a->v[a->n++] = s;
}

static void argf(struct args *a, char *owned)
{
	if (a->n_owned < ARGS_MAX)
		a->owned[a->n_owned++] = owned;
	arg(a, owned);
}

static void args_done(struct args *a)
{
	for (size_t i = 0; i < a->n_owned; i++)
		free(a->owned[i]);
}

static void buildah(struct args *a, struct image_job *job)
{
	arg(a, "buildah");
	arg(a, "--root");
	argf(a, xasprintf("%s/buildah", job->root));
	arg(a, "--runroot");
	argf(a, xasprintf("%s/buildah", job->images->exec_root));
	arg(a, "--storage-driver");
	arg(a, "overlay");
}

static int run_quiet(struct args *a, struct image_job *job, const char *what, struct buf *out)
{
	_cleanup_buf_ struct buf errors = BUF_INIT;
	int rc;

	a->v[a->n] = NULL;
	rc = run_program(a->v, NULL, out, &errors);
	args_done(a);
	if (rc < 0)
		return err_errno(&job->err, rc, "cannot run %s", a->v[0]);
	if (rc)
		return err_set(&job->err, -EIO, "cannot %s: %.800s", what, errors.data);
	return 0;
}

static const char *str(json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

/* Put an image of ours into buildah's store, under the full name that FROM means. */
static int offer_base(struct image_job *job, const char *name, const char *id, json_t *config)
{
	char *dir = tmp_dir(job->root, "base", &job->err);
	struct args a = {0};
	int rc;

	if (!dir)
		return job->err.code;
	rc = export_dir(job->root, id, config, dir, &job->err);
	if (!rc) {
		arg(&a, "skopeo");
		arg(&a, "--insecure-policy");
		arg(&a, "copy");
		arg(&a, "--quiet");
		argf(&a, xasprintf("dir:%s", dir));
		argf(&a, xasprintf("containers-storage:[overlay@%s/buildah+%s/buildah]%s",
				   job->root, job->images->exec_root, name));
		rc = run_quiet(&a, job, "hand the base image to buildah", NULL);
	}
	dir_remove_tree(dir, NULL);
	free(dir);
	return rc;
}

/*
 * Hand over those of our images that a FROM of the Dockerfile names; buildah pulls the others, from
 * where conf says: by Docker's names, and without TLS where we go without.
 */
static int offer_bases(struct image_job *job, const char *dockerfile, const char *conf)
{
	_cleanup_buf_ struct buf text = BUF_INIT, how = BUF_INIT;
	int rc = file_read(dockerfile, DOCKERFILE_MAX, &text, &job->err);

	buf_str(&how, "unqualified-search-registries = [\"docker.io\"]\n"
		      "short-name-mode = \"disabled\"\n");
	for (char *save, *line = rc ? NULL : strtok_r(text.data, "\n", &save); line && !rc;
	     line = strtok_r(NULL, "\n", &save)) {
		_cleanup_free_ char *full = NULL;
		char *word, *in;
		struct reference r;
		json_t *base;

		word = strtok_r(line, " \t\r", &in);
		if (!word || strcasecmp(word, "FROM"))
			continue;
		while ((word = strtok_r(NULL, " \t\r", &in)) && starts_with(word, "--"))
			;
		if (!word || reference_parse(word, &r, NULL))
			continue;
		full = xasprintf("%s:%s", r.name, r.tag);
		base = json_object_get(json_object_get(job->build, "images"), full);
		if (base)
			rc = offer_base(job, full, str(base, "id"),
					json_object_get(base, "config"));
		else if (images_insecure(job->images, r.name))
			buf_printf(&how, "[[registry]]\nlocation = \"%.*s\"\ninsecure = true\n",
				   (int)strcspn(r.name, "/"), r.name);
	}
	return rc ? rc : file_write_volatile(conf, how.data, how.len, 0600, &job->err);
}

/* Run buildah bud, passing on what it says as it says it. last gets its last error line. */
static int run_build_program(struct image_job *job, struct args *a, struct buf *last)
{
	_cleanup_buf_ struct buf out = BUF_INIT, errors = BUF_INIT;
	posix_spawn_file_actions_t fa;
	int p_out[2], p_err[2], status, rc;
	pid_t pid;

	a->v[a->n] = NULL;
	if (pipe2(p_out, O_CLOEXEC))
		return -errno;
	if (pipe2(p_err, O_CLOEXEC)) {
		rc = -errno;
		close(p_out[0]);
		close(p_out[1]);
		return rc;
	}
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&fa, p_out[1], 1);
	posix_spawn_file_actions_adddup2(&fa, p_err[1], 2);
	rc = -posix_spawnp(&pid, a->v[0], &fa, NULL, (char *const *)a->v, environ);
	posix_spawn_file_actions_destroy(&fa);
	close(p_out[1]);
	close(p_err[1]);
	while (!rc) {
		struct pollfd p[2] = {{p_out[0], POLLIN, 0}, {p_err[0], POLLIN, 0}};
		char chunk[8192];
		ssize_t n;

		if (p_out[0] < 0 && p_err[0] < 0)
			break;
		if (poll(p, 2, -1) < 0)
			continue;
		for (int i = 0; i < 2; i++) {
			struct buf *b = i ? &errors : &out;
			int *fd = i ? &p_err[0] : &p_out[0];

			if (!p[i].revents)
				continue;
			n = read(*fd, chunk, sizeof(chunk));
			if (n <= 0) {
				close(steal_fd(*fd));
				continue;
			}
			buf_add(b, chunk, n);
			if (!i)
				build_say_lines(job, &out, false);
			else
				build_say_errors(job, &errors, false);
			if (b->len > 65536)
				buf_consume(b, b->len - 32768);
		}
	}
	util_closep(&p_out[0]);
	util_closep(&p_err[0]);
	if (rc)
		return err_errno(&job->err, rc, "cannot run buildah");
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	build_say_lines(job, &out, true);
	rc = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	if (!rc)
		build_say_errors(job, &errors, true);
	buf_add(last, errors.data, errors.len);
	return rc;
}

/* HostConfig's limits as buildah's flags. */
static void limit_args(struct args *a, json_t *limits)
{
	static const struct {
		const char *key, *flag, *unit;
	} numbers[] = {{"Memory", "--memory", "b"},
		       {"CpuShares", "--cpu-shares", ""},
		       {"CpuPeriod", "--cpu-period", ""},
		       {"CpuQuota", "--cpu-quota", ""},
		       {"ShmSize", "--shm-size", ""}},
	  texts[] = {{"CpusetCpus", "--cpuset-cpus", ""}, {"CpusetMems", "--cpuset-mems", ""}};
	json_int_t memory = ji(limits, "Memory"), swap = ji(limits, "MemorySwap");
	json_t *v;
	size_t k;

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		json_int_t v = ji(limits, numbers[i].key);

		if (!v)
			continue;
		arg(a, numbers[i].flag);
		argf(a, xasprintf("%lld%s", (long long)v, numbers[i].unit));
	}
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		if (!str(limits, texts[i].key))
			continue;
		arg(a, texts[i].flag);
		arg(a, str(limits, texts[i].key));
	}
	if (memory && swap >= 0) { /* twice the memory, when it is not said */
		arg(a, "--memory-swap");
		argf(a, xasprintf("%lldb", (long long)(swap ? swap : 2 * memory)));
	} else if (memory) {
		arg(a, "--memory-swap");
		arg(a, "-1");
	}
	json_array_foreach (json_object_get(limits, "Ulimits"), k, v) {
		const char *name = str(v, "Name");

		arg(a, "--ulimit");
		argf(a, xasprintf("%s=%lld:%lld", name ? name : "", ji(v, "Soft"), ji(v, "Hard")));
	}
}

/* The containers of RUN steps: as ours are. */
static void run_args(struct args *a, struct image_job *job)
{
	static const char *const files[] = {"hosts", "resolv.conf"};
	const char *dir = str(job->build, "net_dir"), *netns = str(job->build, "netns");

	arg(a, "--isolation=oci");
	arg(a, "--runtime");
	arg(a, str(job->build, "runtime"));
	arg(a, "--cgroup-parent");
	arg(a, str(job->build, "cgroup"));
	arg(a, "--network");
	argf(a, netns ? xasprintf("ns:%s", netns) : xstrdup("host"));
	arg(a, "--no-hosts");
	arg(a, "--dns=none");
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		arg(a, "--volume");
		argf(a, xasprintf("%s/%s:/etc/%s", dir, files[i], files[i]));
	}
	limit_args(a, json_object_get(job->build, "limits"));
}

/* What buildah would take from the node's containers.conf. */
static int write_settings(struct image_job *job, const char *path)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	json_t *v;
	size_t i;

	buf_str(&text, "[containers]\ndefault_ulimits = []\ndefault_sysctls = []\n"
		       "default_capabilities = [");
	json_array_foreach (json_object_get(job->build, "caps"), i, v)
		buf_printf(&text, "%s\"%s\"", i ? ", " : "", json_string_value(v));
	buf_str(&text, "]\n");
	return file_write_volatile(path, text.data, text.len, 0600, &job->err);
}

static void object_args(struct args *a, const char *flag, json_t *object)
{
	const char *key;
	json_t *v;

	json_object_foreach (object, key, v) {
		arg(a, flag);
		argf(a, json_is_string(v) ? xasprintf("%s=%s", key, json_string_value(v))
					  : xstrdup(key));
	}
}

static int bring_back(struct image_job *job, const char *dir, const char *iidfile)
{
	_cleanup_free_ char *image = xasprintf("%s/image", dir);
	_cleanup_buf_ struct buf iid = BUF_INIT;
	struct args a = {0};
	json_t *tags = json_object_get(job->build, "tags"), *v;
	struct reference r;
	char *text;
	size_t i;
	int rc = file_read(iidfile, 200, &iid, &job->err);

	if (rc)
		return rc;
	buildah(&a, job);
	arg(&a, "push");
	arg(&a, "--quiet");
	arg(&a, "--disable-compression");
	arg(&a, "--format=v2s2");
	arg(&a, iid.data);
	argf(&a, xasprintf("dir:%s", image));
	rc = run_quiet(&a, job, "take the image from buildah", NULL);
	if (!rc)
		rc = import_dir(job->root, image, &job->found, &job->n_found, &job->err);
	if (rc)
		return rc;
	image_job_line(job, json_pack("{s:{s:s}}", "aux", "ID", job->found[0].id));
	if (json_is_true(json_object_get(job->build, "quiet")))
		image_job_line(
			job, json_pack("{s:o}", "stream", json_sprintf("%s\n", job->found[0].id)));
	text = xasprintf("Successfully built %.12s\n", job->found[0].id + 7);
	build_stream(job, text);
	free(text);
	json_array_foreach (tags, i, v) {
		reference_parse(json_string_value(v), &r, NULL);
		json_array_append_new(job->found[0].refs, json_sprintf("%s:%s", r.name, r.tag));
		text = xasprintf("Successfully tagged %s:%s\n", reference_familiar(&r), r.tag);
		build_stream(job, text);
		free(text);
	}
	return 0;
}

static int build_in(struct image_job *job, const char *dir)
{
	_cleanup_free_ char *iidfile = xasprintf("%s/iid", dir),
			    *conf = xasprintf("%s/registries.conf", dir),
			    *settings = xasprintf("%s/containers.conf", dir), *context = NULL,
			    *file = NULL;
	_cleanup_buf_ struct buf errors = BUF_INIT;
	const char *dockerfile, *target = str(job->build, "target");
	bool pull = json_is_true(json_object_get(job->build, "pull"));
	struct args a = {0};
	struct stat st;
	int rc = context_make(job, dir, &context);

	if (rc)
		return rc;
	dockerfile = str(job->build, "dockerfile");
	file = xasprintf("%s/%s", context, dockerfile);
	if (strstr(dockerfile, "..") || stat(file, &st))
		return err_set(&job->err, -EINVAL, "Cannot locate specified Dockerfile: %s",
			       dockerfile);
	if (!st.st_size)
		return err_set(&job->err, -EINVAL, "the Dockerfile (%s) cannot be empty",
			       dockerfile);
	rc = offer_bases(job, file, conf);
	if (!rc)
		rc = write_settings(job, settings);
	if (rc)
		return rc;
	arg(&a, "env");
	argf(&a, xasprintf("CONTAINERS_REGISTRIES_CONF=%s", conf));
	argf(&a, xasprintf("CONTAINERS_CONF=%s", settings));
	buildah(&a, job);
	arg(&a, "bud");
	run_args(&a, job);
	arg(&a, pull ? "--pull=always" : "--pull=false");
	arg(&a, "--format=docker");
	arg(&a, "--layers=true");
	arg(&a, "--identity-label=false");
	arg(&a, "--iidfile");
	arg(&a, iidfile);
	arg(&a, "-f");
	arg(&a, file);
	if (json_is_true(json_object_get(job->build, "no_cache")))
		arg(&a, "--no-cache");
	if (!str_empty(target)) {
		arg(&a, "--target");
		arg(&a, target);
	}
	if (!str_empty(str(job->build, "platform"))) {
		arg(&a, "--platform");
		arg(&a, str(job->build, "platform"));
	}
	object_args(&a, "--build-arg", json_object_get(job->build, "build_args"));
	object_args(&a, "--label", json_object_get(job->build, "labels"));
	arg(&a, context);
	rc = run_build_program(job, &a, &errors);
	args_done(&a);
	if (rc > 0)
		return build_error(job, &errors);
	return rc ? rc : bring_back(job, dir, iidfile);
}

static int run_build(struct image_job *job)
{
	char *dir = tmp_dir(job->root, "build", &job->err);
	int rc;

	if (!dir)
		return job->err.code;
	rc = build_in(job, dir);
	dir_remove_tree(dir, NULL);
	free(dir);
	return rc;
}

/* Our named images are what FROM may mean: all are offered by name, those in use are handed over. */
static json_t *possible_bases(struct images *images)
{
	json_t *out = json_object();
	struct image *img;
	const char *ref;

	map_for_each (&images->by_ref, ref, img)
		json_object_set_new(out, ref,
				    json_pack("{s:s, s:s, s:o}", "name", ref, "id", img->id,
					      "config", json_deep_copy(img->config)));
	return out;
}

void images_build(struct images *images, const struct image_build *b, int fd,
		  image_progress progress, image_done done, void *arg)
{
	struct image_job *job = xcalloc(1, sizeof(*job));
	json_t *tags = json_array();
	const struct {
		const char *key, *value;
	} texts[] = {{"remote", b->remote},   {"target", b->target}, {"platform", b->platform},
		     {"runtime", b->runtime}, {"netns", b->netns},   {"net_dir", b->net_dir},
		     {"cgroup", b->cgroup}};
	const struct {
		const char *key;
		json_t *value;
	} parts[] = {{"build_args", b->build_args},
		     {"labels", b->labels},
		     {"caps", b->caps},
		     {"limits", b->limits}};

	*job = (struct image_job){.images = images,
				  .fd = fd,
				  .progress = progress,
				  .done = done,
				  .arg = arg,
				  .run = run_build};
	for (const char *const *t = b->tags; t && *t; t++)
		json_array_append_new(tags, json_string(*t));
	job->build = json_pack("{s:s, s:o, s:b, s:b, s:b, s:[], s:o}", "dockerfile",
			       b->dockerfile ? b->dockerfile : "Dockerfile", "tags", tags,
			       "no_cache", b->no_cache, "quiet", b->quiet, "pull", b->pull, "kept",
			       "images", possible_bases(images));
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		if (texts[i].value)
			json_object_set_new(job->build, texts[i].key, json_string(texts[i].value));
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (parts[i].value)
			json_object_set_new(job->build, parts[i].key,
					    json_deep_copy(parts[i].value));
	image_job_start(job);
}
