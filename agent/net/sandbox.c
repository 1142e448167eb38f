// SPDX-License-Identifier: Apache-2.0
/* The life of a sandbox: joined networks, up, live changes, down. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#include "core/log.h"
#include "net/dns.h"
#include "net/sandbox_impl.h"

enum op_kind { OP_UP, OP_CONNECT, OP_DISCONNECT, OP_HOSTS, OP_DOWN };

/* Changes of one sandbox happen one after the other; the first of the list is under way. */
struct op {
	struct list_head node;
	struct sandbox *sb;
	enum op_kind kind;
	struct endpoint *e; /* CONNECT, DISCONNECT */
	struct endpoint *gw; /* on docker_gwbridge: comes or goes with this change */
	char *names, *ip; /* HOSTS */
	struct netns_job *job;
	struct err err;
	void (*done)(const struct err *err, void *arg);
	void (*down)(void *arg);
	void *arg;
};

static void run_op(void *arg);

static void free_op(struct op *op)
{
	netns_job_free(op->job);
	free(op->names);
	free(op->ip);
	free(op);
}

struct sandbox *sandbox_new(struct nets *nets, const struct sandbox_options *opt)
{
	struct sandbox *sb = xcalloc(1, sizeof(*sb));

	sb->nets = nets;
	snprintf(sb->id, sizeof(sb->id), "%s", opt->id);
	sb->name = xstrdup(opt->name);
	sb->hostname = xstrdup(opt->hostname ? opt->hostname : "");
	sb->domainname = xstrdup(opt->domainname ? opt->domainname : "");
	sb->dir = xstrdup(opt->dir);
	sb->join = xstrdup(opt->join);
	sb->host = opt->host;
	sb->dns = json_incref(opt->dns);
	sb->dns_search = json_incref(opt->dns_search);
	sb->dns_options = json_incref(opt->dns_options);
	sb->extra_hosts = json_incref(opt->extra_hosts);
	if (!sb->host && !sb->join)
		sb->path = xasprintf("%s/%.12s", nets->netns_dir, sb->id);
	list_init(&sb->endpoints);
	list_init(&sb->ops);
	list_add_tail(&sb->node, &nets->sandboxes);
	return sb;
}

void sandbox_free(struct sandbox *sb)
{
	struct endpoint *e, *tmp;

	if (!sb)
		return;
	sb->nets->kept |= sb->up; /* it goes on without us */
	dns_server_free(sb->dns_server);
	list_for_each_safe (e, tmp, &sb->endpoints, in_sandbox)
		endpoint_free(e);
	while (!list_empty(&sb->ops)) {
		struct op *op = list_first(&sb->ops, struct op, node);

		list_del(&op->node);
		free_op(op);
	}
	sandbox_ports_release(sb);
	list_del(&sb->node);
	json_decref(sb->dns);
	json_decref(sb->dns_search);
	json_decref(sb->dns_options);
	json_decref(sb->extra_hosts);
	json_decref(sb->exposed);
	free(sb->name);
	free(sb->hostname);
	free(sb->domainname);
	free(sb->dir);
	free(sb->join);
	free(sb->path);
	free(sb);
}

const char *sandbox_netns(const struct sandbox *sb)
{
	return sb->join ? sb->join : sb->path;
}

int sandbox_join(struct sandbox *sb, struct network *n, const struct endpoint_options *opt,
		 struct err *err)
{
	struct endpoint *e;

	return endpoint_new(sb, n, opt, &e, err);
}

bool sandbox_has_dns(const struct sandbox *sb)
{
	struct endpoint *e;

	if (sb->path)
		list_for_each (e, &sb->endpoints, in_sandbox)
			if (network_has_names(e->network))
				return true;
	return false;
}

void sandbox_dns_start(struct sandbox *sb, struct dns_sockets *sockets)
{
	if (sb->dns_server)
		dns_sockets_close(sockets);
	else
		sb->dns_server = dns_server_new(sb, sockets);
}

static int job_link(struct netns_job *job, struct endpoint *e, struct err *err)
{
	struct network *n = e->network;
	struct netns_link *l;
	json_t *v;
	size_t i;

	job->links = xrealloc(job->links, (job->n_links + 1) * sizeof(*l));
	l = &job->links[job->n_links++];
	memset(l, 0, sizeof(*l));
	memcpy(l->host_if, e->host_if, sizeof(l->host_if));
	memcpy(l->if_name, e->if_name, sizeof(l->if_name));
	memcpy(l->mac, e->mac, 6);
	l->ip = e->ip;
	l->prefix = ipam_subnet_range(n->subnet)->prefix;
	l->ip6 = e->ip6;
	l->prefix6 = n->subnet6 ? subnet6_range(n->subnet6)->prefix : 0;
	l->mtu = n->mtu;
	l->ingress = n->ingress;
	l->gateway = n->gateway;
	if (n->ingress)
		json_array_foreach (json_object_get(e->swarm, "ports"), i, v)
			if (streq(json_string_value(json_object_get(v, "protocol")), "udp") &&
			    l->n_udp_ports < ARRAY_SIZE(l->udp_ports))
				l->udp_ports[l->n_udp_ports++] =
					json_integer_value(json_object_get(v, "target_port"));
	return n->driver->link ? n->driver->link(e, l, err) : 0;
}

static void job_drop(struct netns_job *job, const struct endpoint *e)
{
	struct netns_drop *d;

	job->drop = xrealloc(job->drop, (job->n_drop + 1) * sizeof(*job->drop));
	d = &job->drop[job->n_drop++];
	d->inside = e->network->driver->direct;
	memcpy(d->name, d->inside ? e->if_name : e->host_if, sizeof(d->name));
}

/* The index of a new link, by its endpoint's name. */
static void take_index(const struct netns_job *job, struct endpoint *e)
{
	for (size_t i = 0; i < job->n_links; i++)
		if (streq(job->links[i].host_if, e->host_if))
			e->host_index = job->links[i].host_index;
}

static int endpoint_live(struct op *op, struct endpoint *e)
{
	int rc;

	take_index(op->job, e);
	rc = endpoint_announce(e, &op->err);
	if (!rc && !e->hidden)
		network_emit(e->network, "connect", op->sb);
	return rc;
}

static void endpoint_gone(struct op *op, struct endpoint *e, bool emit)
{
	if (e->up && !e->hidden && emit)
		network_emit(e->network, "disconnect", op->sb);
	endpoint_withdraw(e);
}

/* What the kernel has made is told to the rest: names, records, ports. */
static int settle_up(struct op *op)
{
	struct sandbox *sb = op->sb;
	struct endpoint *e;
	int rc = 0;

	if (op->job->dns_sockets.udp >= 0)
		sandbox_dns_start(sb, &op->job->dns_sockets);
	sb->up = true;
	list_for_each (e, &sb->endpoints, in_sandbox) {
		if (!rc)
			rc = endpoint_live(op, e);
	}
	return rc ? rc : sandbox_ports_apply(sb, &op->err);
}

/* Everything above the kernel's links is withdrawn; the links go by the job. */
static void prepare_down(struct op *op, bool emit)
{
	struct sandbox *sb = op->sb;
	struct endpoint *e;

	sandbox_ports_withdraw(sb);
	list_for_each (e, &sb->endpoints, in_sandbox) {
		endpoint_gone(op, e, emit);
		if (e->ip && sb->path)
			job_drop(op->job, e);
	}
	dns_server_free(sb->dns_server);
	sb->dns_server = NULL;
	op->job->remove = sb->path;
	sb->up = false;
}

static void release_all(struct sandbox *sb)
{
	struct endpoint *e, *tmp;

	list_for_each_safe (e, tmp, &sb->endpoints, in_sandbox)
		endpoint_free(e);
	sandbox_ports_release(sb);
}

static void job_gateway(struct op *op)
{
	bool leaves = op->kind == OP_DISCONNECT;
	struct endpoint *a = leaves ? op->e : NULL, *b = leaves ? op->gw : NULL,
			*gw = sandbox_gateway_without(op->sb, false, a, b),
			*gw6 = sandbox_gateway_without(op->sb, true, a, b);

	op->job->set_default = true;
	if (gw && gw->network->driver->way(gw->network) == NET_WAY_DEVICE)
		memcpy(op->job->way_out, gw->if_name, sizeof(gw->if_name));
	else
		op->job->gateway = gw ? gw->network->gateway : 0;
	op->job->gateway6 = gw6 ? gw6->network->gateway6 : (struct in6_addr){0};
}

static int prepare_up(struct op *op)
{
	struct sandbox *sb = op->sb;
	struct endpoint *e;
	int rc = 0;

	if (sb->join)
		return 0;
	if (sb->path && sandbox_needs_gwbridge(sb, NULL))
		rc = sandbox_gwbridge_join(sb, &op->gw, &op->err);
	if (rc)
		return rc;
	op->job->create = sb->path;
	if (sb->path) {
		list_for_each (e, &sb->endpoints, in_sandbox)
			if (e->ip && !rc)
				rc = job_link(op->job, e, &op->err);
		if (rc)
			return rc;
		op->job->dns = sandbox_has_dns(sb);
		job_gateway(op);
	}
	sandbox_files(sb, op->job, false);
	return 0;
}

static int prepare_connect(struct op *op)
{
	struct sandbox *sb = op->sb;
	struct endpoint *gw = sandbox_gwbridge(sb);
	int rc = 0;

	if (!sb->path)
		return err_set(&op->err, -EINVAL,
			       "container sharing network namespace with another container or host "
			       "cannot be connected to any other network");
	if (!gw && sandbox_needs_gwbridge(sb, NULL))
		rc = sandbox_gwbridge_join(sb, &op->gw, &op->err);
	if (rc)
		return rc;
	if (op->e->ip)
		rc = job_link(op->job, op->e, &op->err);
	if (op->gw && !rc)
		rc = job_link(op->job, op->gw, &op->err);
	if (rc) {
		if (op->gw)
			endpoint_free(op->gw);
		return rc;
	}
	op->job->dns = sandbox_has_dns(sb) && !sb->dns_server;
	job_gateway(op);
	sandbox_files(sb, op->job, true);
	return 0;
}

static int prepare_disconnect(struct op *op)
{
	struct sandbox *sb = op->sb;

	op->gw = sandbox_gwbridge(sb);
	if (op->gw && sandbox_needs_gwbridge(sb, op->e))
		op->gw = NULL;
	endpoint_gone(op, op->e, true);
	if (op->gw)
		endpoint_withdraw(op->gw);
	if (op->e->ip)
		job_drop(op->job, op->e);
	if (op->gw)
		job_drop(op->job, op->gw);
	job_gateway(op);
	list_del(&op->e->in_sandbox); /* the files are without it */
	sandbox_files(sb, op->job, true);
	list_add_tail(&op->e->in_sandbox, &sb->endpoints);
	return 0;
}

/* Tell the caller and begin the next. */
static void finish(struct op *op)
{
	struct sandbox *sb = op->sb;
	bool more;

	list_del(&op->node);
	more = !list_empty(&sb->ops);
	if (more)
		loop_defer(sb->nets->opt.loop, run_op, list_first(&sb->ops, struct op, node));
	/* may free the sandbox, if nothing else is queued */
	if (op->kind == OP_DOWN) {
		if (op->down)
			op->down(op->arg);
	} else if (op->done) {
		op->done(op->err.code ? &op->err : NULL, op->arg);
	}
	free_op(op);
}

static void undone(void *arg)
{
	struct op *op = arg;

	release_all(op->sb);
	finish(op);
}

static void work(void *arg)
{
	netns_run(((struct op *)arg)->job);
}

static struct netns_job *new_job(struct sandbox *sb)
{
	return netns_job_new(sb->path, sb->nets->netns);
}

/* An up that failed after its links were made: the same way down. */
static void undo_up(struct op *op)
{
	netns_job_free(op->job);
	op->job = new_job(op->sb);
	prepare_down(op, false);
	loop_work(op->sb->nets->opt.loop, work, undone, op);
}

/* What was asked for behind the end is answered: there is nothing any more to change. */
static void refuse_rest(struct op *op)
{
	struct op *other, *tmp;

	list_for_each_safe (other, tmp, &op->sb->ops, node) {
		struct err err = ERR_INIT;

		if (other == op || other->kind == OP_DOWN || other->kind == OP_UP)
			continue;
		err_set(&err, -EACCES, "container %s is not running", op->sb->id);
		if (other->done)
			loop_answer(op->sb->nets->opt.loop, other->done, &err, other->arg);
		list_del(&other->node);
		free_op(other);
	}
}

static void drop_work(void *arg)
{
	netns_run(arg);
	netns_job_free(arg);
}

/* Of a live change that failed after its links were made. */
static void drop_links(struct op *op)
{
	struct netns_job *job = netns_job_new(op->sb->path, op->sb->nets->netns);

	job_drop(job, op->e);
	if (op->gw)
		job_drop(job, op->gw);
	loop_work(op->sb->nets->opt.loop, drop_work, NULL, job);
}

static void worked(void *arg)
{
	struct op *op = arg;
	struct sandbox *sb = op->sb;
	int rc = op->job->rc;

	if (rc)
		op->err = op->job->err;
	if (op->kind == OP_UP) {
		if (!rc)
			rc = settle_up(op);
		if (rc && op->job->rc) {
			release_all(sb);
		} else if (rc) {
			undo_up(op);
			return;
		}
	} else if (op->kind == OP_CONNECT) {
		if (!rc && op->job->dns_sockets.udp >= 0)
			sandbox_dns_start(sb, &op->job->dns_sockets);
		if (!rc && op->gw)
			rc = endpoint_live(op, op->gw);
		if (!rc)
			rc = endpoint_live(op, op->e);
		if (rc) {
			drop_links(op);
			if (op->gw) {
				endpoint_withdraw(op->gw);
				endpoint_free(op->gw);
			}
			endpoint_withdraw(op->e);
			endpoint_free(op->e);
		} else {
			sandbox_ports_apply(sb, &op->err);
		}
	} else if (op->kind == OP_DISCONNECT) {
		memset(&op->err, 0,
		       sizeof(op->err)); /* a namespace that is going away is as good */
		endpoint_free(op->e);
		if (op->gw)
			endpoint_free(op->gw);
		sandbox_ports_apply(sb, &op->err);
	} else if (op->kind == OP_DOWN) {
		refuse_rest(op);
		release_all(sb);
	}
	finish(op);
}

static void run_op(void *arg)
{
	struct op *op = arg;
	struct sandbox *sb = op->sb;
	int rc = 0;

	op->job = new_job(sb);
	switch (op->kind) {
	case OP_UP:
		rc = prepare_up(op);
		break;
	case OP_CONNECT:
		rc = prepare_connect(op);
		break;
	case OP_DISCONNECT:
		rc = prepare_disconnect(op);
		break;
	case OP_HOSTS:
		sandbox_hosts_line(sb, op->job, op->names, op->ip);
		break;
	case OP_DOWN:
		prepare_down(op, true);
		break;
	}
	if (!rc) {
		loop_work(sb->nets->opt.loop, work, worked, op);
		return;
	}
	if (op->kind == OP_CONNECT)
		endpoint_free(op->e);
	else
		release_all(sb);
	finish(op);
}

static struct op *push(struct sandbox *sb, enum op_kind kind, struct endpoint *e)
{
	struct op *op = xcalloc(1, sizeof(*op));
	bool idle = list_empty(&sb->ops);

	op->sb = sb;
	op->kind = kind;
	op->e = e;
	list_add_tail(&op->node, &sb->ops);
	if (idle)
		loop_defer(sb->nets->opt.loop, run_op, op);
	return op;
}

void sandbox_up(struct sandbox *sb, void (*done)(const struct err *err, void *arg), void *arg)
{
	struct op *op = push(sb, OP_UP, NULL);

	op->done = done;
	op->arg = arg;
}

void sandbox_down(struct sandbox *sb, void (*done)(void *arg), void *arg)
{
	struct op *op = push(sb, OP_DOWN, NULL);

	op->down = done;
	op->arg = arg;
}

void sandbox_connect(struct sandbox *sb, struct network *n, const struct endpoint_options *opt,
		     void (*done)(const struct err *err, void *arg), void *arg)
{
	struct err err = ERR_INIT;
	struct endpoint *e;
	struct op *op;

	if (!sb->path)
		err_set(&err, -EINVAL,
			"container sharing network namespace with another container or host cannot "
			"be connected to any other network");
	else if (!n->subnet && !n->config)
		err_set(&err, -EINVAL, "container cannot be connected to %s network \"%s\"",
			n->driver->name, n->name);
	if (err.code || endpoint_new(sb, n, opt, &e, &err)) {
		loop_answer(sb->nets->opt.loop, done, &err, arg);
		return;
	}
	op = push(sb, OP_CONNECT, e);
	op->done = done;
	op->arg = arg;
}

void sandbox_disconnect(struct sandbox *sb, struct network *n,
			void (*done)(const struct err *err, void *arg), void *arg)
{
	struct endpoint *e, *hit = NULL;
	struct err err = ERR_INIT;
	struct op *op;

	list_for_each (e, &sb->endpoints, in_sandbox)
		if (e->network == n && !e->hidden)
			hit = e;
	list_for_each (op, &sb->ops, node)
		if (op->kind == OP_DISCONNECT && op->e == hit)
			hit = NULL;
	if (!hit)
		err_set(&err, -EACCES, "container %s is not connected to network %s", sb->id,
			n->name);
	else if (!n->subnet)
		err_set(&err, -EACCES,
			"container cannot be disconnected from host network or connected to "
			"hostnetwork");
	if (err.code) {
		loop_answer(sb->nets->opt.loop, done, &err, arg);
		return;
	}
	op = push(sb, OP_DISCONNECT, hit);
	op->done = done;
	op->arg = arg;
}

void sandbox_hosts_change(struct sandbox *sb, const char *names, const char *ip)
{
	struct op *op = push(sb, OP_HOSTS, NULL);

	op->names = xstrdup(names);
	op->ip = xstrdup(ip);
}

void sandbox_service(struct sandbox *sb, bool enable)
{
	struct endpoint *e;

	sb->enabled = enable;
	list_for_each (e, &sb->endpoints, in_sandbox)
		if (e->up && e->network->swarm)
			swarm_endpoint_service(e, enable);
}
