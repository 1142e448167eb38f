// SPDX-License-Identifier: Apache-2.0
/* Starting a container on attachable networks of the swarm: they are brought to this node first. */
#include "api/attach_swarm.h"

#include <errno.h>
#include <stdio.h>

#include "manager/swarm.h"
#include "net/net.h"

struct start {
	struct api_call *call;
	json_t *networks; /* yet to be attached: names */
	char id[65];
	void (*ready)(struct api_call *call, struct ctr *c);
};

/* A network that only the swarm can give: unknown here, or one of its networks. */
static bool of_swarm(struct engine *e, const char *name)
{
	struct network *n = nets_find(e->nets, name, NULL);

	return !n || net_is_swarm(n);
}

static void next(struct start *s);

static void end(struct start *s, const struct err *err)
{
	struct ctrs *ctrs = s->call->engine->ctrs;
	struct ctr *c = err ? NULL : ctr_find(ctrs, s->id, NULL);
	struct err gone = ERR_INIT;

	if (!err && !c) {
		err_set(&gone, -ENOENT, "No such container: %.12s", s->id);
		err = &gone;
	}
	if (err) {
		api_reply_err(s->call, err);
		/* as after any start that failed */
		c = ctr_find(ctrs, s->id, NULL);
	} else {
		s->ready(s->call, c);
	}
	if (err && c && json_is_true(json_object_get(ctr_host_config(c), "AutoRemove")))
		ctr_remove(c, true, true, NULL, NULL);
	json_decref(s->networks);
	free(s);
}

static void on_attached(const struct err *err, const char *ip4, void *arg)
{
	struct start *s = arg;
	struct ctr *c = ctr_find(s->call->engine->ctrs, s->id, NULL);

	if (err || !c) {
		end(s, err);
		return;
	}
	ctr_network_address(c, json_string_value(json_array_get(s->networks, 0)), ip4);
	json_array_remove(s->networks, 0);
	next(s);
}

static void next(struct start *s)
{
	const char *name = json_string_value(json_array_get(s->networks, 0));
	struct ctr *c = ctr_find(s->call->engine->ctrs, s->id, NULL);

	if (name && c)
		swarm_attach(s->call->engine->swarm, s->id, name, ctr_network_wish(c, name),
			     on_attached, s);
	else
		end(s, NULL);
}

void api_attach_networks(struct api_call *call, struct ctr *c,
			 void (*ready)(struct api_call *call, struct ctr *c))
{
	struct engine *e = call->engine;
	json_t *all, *name;
	struct start *s;
	size_t i;

	/* a task's container has its networks and addresses from its task */
	if (ctr_running(c) || ctr_label(c, "com.docker.swarm.task.id") ||
	    swarm_state(e->swarm) == SWARM_INACTIVE) {
		ready(call, c);
		return;
	}
	s = xcalloc(1, sizeof(*s));
	s->call = call;
	s->ready = ready;
	s->networks = json_array();
	snprintf(s->id, sizeof(s->id), "%s", ctr_id(c));
	all = ctr_networks(c);
	json_array_foreach (all, i, name)
		if (of_swarm(e, json_string_value(name)))
			json_array_append(s->networks, name);
	json_decref(all);
	next(s);
}

struct connect {
	struct api_call *call;
	json_t *endpoint;
	char id[65], *network;
	ctr_done done;
};

static void on_connectable(const struct err *err, const char *ip4, void *arg)
{
	struct connect *s = arg;
	struct ctr *c = ctr_find(s->call->engine->ctrs, s->id, NULL);
	struct network *n = nets_find(s->call->engine->nets, s->network, NULL);
	struct err gone = ERR_INIT;

	if (!err && (!c || !n)) {
		err_set(&gone, -ENOENT, "No such container: %.12s", s->id);
		err = &gone;
	}
	if (err) {
		api_reply_err(s->call, err);
	} else {
		json_object_set_new(s->endpoint, "IPAMConfig",
				    json_pack("{s:s*}", "IPv4Address", ip4));
		ctr_network_connect(c, n, s->endpoint, s->done, s->call);
	}
	json_decref(s->endpoint);
	free(s->network);
	free(s);
}

void api_attach_connect(struct api_call *call, struct ctr *c, const char *network, json_t *endpoint,
			ctr_done done)
{
	struct connect *s = xcalloc(1, sizeof(*s));
	const char *wish = json_string_value(
		json_object_get(json_object_get(endpoint, "IPAMConfig"), "IPv4Address"));

	s->call = call;
	s->done = done;
	s->endpoint = json_is_object(endpoint) ? json_copy(endpoint) : json_object();
	s->network = xstrdup(network);
	snprintf(s->id, sizeof(s->id), "%s", ctr_id(c));
	swarm_attach(call->engine->swarm, s->id, network, wish, on_connectable, s);
}
