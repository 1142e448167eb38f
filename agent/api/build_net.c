// SPDX-License-Identifier: Apache-2.0
#include "api/build_net.h"

#include <errno.h>
#include <stdio.h>

#include "ctr/ctr.h"
#include "disk/file.h"
#include "loop/loop.h"
#include "net/net.h"
#include "options.h"

struct build_net {
	struct engine *engine;
	struct sandbox *sandbox; /* NULL: another container's network */
	char *ns, *dir;
	bool up;
	void (*ready)(const struct err *err, void *arg);
	void *ready_arg;
	void (*closed)(void *arg);
	void *closed_arg;
};

static void net_free(struct build_net *net)
{
	sandbox_free(net->sandbox);
	free(net->ns);
	free(net->dir);
	free(net);
}

static void on_up(const struct err *err, void *arg)
{
	struct build_net *net = arg;

	net->up = !err;
	net->ready(err, net->ready_arg);
}

static void on_joined(void *arg)
{
	on_up(NULL, arg);
}

/* The network of a container that runs, with its files. */
static int join_container(struct build_net *net, const char *name, struct err *err)
{
	struct ctr *c = ctr_find(net->engine->ctrs, name, err);
	const char *ns = c ? ctr_netns(c) : NULL;

	if (!c)
		return -ENOENT;
	if (!ctr_running(c))
		return err_set(err, -EBUSY,
			       "cannot join network namespace of a non running container: "
			       "container %s is %s",
			       ctr_name(c), ctr_status_name(c));
	net->ns = ns ? xstrdup(ns) : NULL;
	net->dir = xstrdup(ctr_net_dir(c));
	return 0;
}

static int make_sandbox(struct build_net *net, const char *id, const char *mode, json_t *hosts,
			struct err *err)
{
	struct engine *e = net->engine;
	bool host = streq(mode, "host"), none = streq(mode, "none");
	_cleanup_free_ char *hostname = xasprintf("%.12s", id);
	struct sandbox_options o = {.id = id, .name = id, .hostname = hostname, .host = host};
	struct network *n = NULL;
	const char *ns;
	int rc;

	if (!host && !none) {
		n = nets_find(e->nets, str_empty(mode) || streq(mode, "default") ? "bridge" : mode,
			      err);
		if (!n)
			return -ENOENT;
	}
	net->dir = xasprintf("%s/build/%s", e->options->exec_root, hostname);
	rc = dir_make(net->dir, 0755, err);
	if (rc)
		return rc;
	o.dir = net->dir;
	o.extra_hosts = hosts;
	net->sandbox = sandbox_new(e->nets, &o);
	rc = n ? sandbox_join(net->sandbox, n, &(struct endpoint_options){0}, err) : 0;
	ns = sandbox_netns(net->sandbox);
	net->ns = ns ? xstrdup(ns) : NULL;
	return rc;
}

int build_net_open(struct engine *e, const char *id, const char *mode, json_t *hosts,
		   void (*done)(const struct err *err, void *arg), void *arg,
		   struct build_net **ret, struct err *err)
{
	struct build_net *net = xcalloc(1, sizeof(*net));
	int rc;

	*net = (struct build_net){.engine = e, .ready = done, .ready_arg = arg};
	if (mode && starts_with(mode, "container:"))
		rc = join_container(net, mode + strlen("container:"), err);
	else
		rc = make_sandbox(net, id, mode, hosts, err);
	if (rc) {
		if (net->sandbox)
			dir_remove_tree(net->dir, NULL);
		net_free(net);
		return rc;
	}
	*ret = net;
	if (net->sandbox)
		sandbox_up(net->sandbox, on_up, net);
	else
		loop_post(e->loop, on_joined, net);
	return 0;
}

const char *build_net_ns(const struct build_net *net)
{
	return net->ns;
}

const char *build_net_dir(const struct build_net *net)
{
	return net->dir;
}

static void on_down(void *arg)
{
	struct build_net *net = arg;
	void (*closed)(void *) = net->closed;
	void *closed_arg = net->closed_arg;

	if (net->sandbox)
		dir_remove_tree(net->dir, NULL);
	net_free(net);
	closed(closed_arg);
}

void build_net_close(struct build_net *net, void (*done)(void *arg), void *arg)
{
	net->closed = done;
	net->closed_arg = arg;
	if (net->sandbox && net->up)
		sandbox_down(net->sandbox, on_down, net);
	else
		on_down(net);
}

void build_net_sweep(const char *exec_root)
{
	_cleanup_free_ char *dir = xasprintf("%s/build", exec_root);

	dir_remove_tree(dir, NULL);
}
