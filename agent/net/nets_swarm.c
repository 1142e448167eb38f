// SPDX-License-Identifier: Apache-2.0
/* The datapath of a node in a swarm: opened, taken over from a former agent, ended. */
#include <errno.h>

#include "core/log.h"
#include "net/net_impl.h"
#include "net/uplinks.h"
#include "swarm/vxlan.h"

enum { SYNC_MS = 60000 };

static void sync_end(void *arg)
{
	struct nets *nets = arg;
	struct err err = ERR_INIT;

	if (!nets->syncing)
		return;
	records_flush(nets);
	nets->syncing = false;
	if (dp_sync_end(nets->opt.dp, &err))
		log_error("the datapath is not cleaned of former entries: %s", err.msg);
	if (ipsec_sweep(nets->ipsec, &err))
		log_error("%s", err.msg);
}

void nets_swarm_init(struct nets *nets)
{
	timer_init(&nets->sync_timer, nets->opt.loop, sync_end, nets);
	nets->ipsec = ipsec_new();
}

void nets_set_dp(struct nets *nets, struct dp *dp)
{
	struct err err = ERR_INIT;

	if (nets->opt.dp == dp)
		return;
	uplinks_free(nets->uplinks);
	nets->uplinks = NULL;
	timer_cancel(&nets->sync_timer);
	nets->syncing = false;
	nets->opt.dp = dp;
	if (!dp)
		return;
	/* what a former agent has set stays until all sources have been heard */
	nets->syncing = dp_sync_begin(dp);
	if (uplinks_new(nets, &nets->uplinks, &err))
		log_error("links are not followed: %s", err.msg);
	if (swarm_net_resync(nets, &err))
		log_error("the datapath is incomplete: %s", err.msg);
}

void nets_heard(struct nets *nets)
{
	if (nets->syncing && !timer_pending(&nets->sync_timer))
		timer_set(&nets->sync_timer, SYNC_MS);
}

int nets_swarm_begin(struct nets *nets, const char *data_addr, uint16_t vxlan_port, struct err *err)
{
	struct dp_options opt = {
		.kind = nets->opt.datapath ? nets->opt.datapath : "auto",
		.exec_root = nets->opt.exec_root,
		.vxlan_port = vxlan_port,
		.return_direct = nets->opt.return_direct,
	};
	struct in_addr local;
	struct dp *dp;
	int rc;

	if (str_empty(data_addr) || dp_addr_parse(data_addr, &opt.vtep))
		return err_set(err, -EINVAL, "the data-path address cannot be used: %s",
			       data_addr ? data_addr : "none");
	memcpy(&local, opt.vtep.b + 12, sizeof(local));
	rc = ipsec_local_set(nets->ipsec, local, vxlan_port ? vxlan_port : SW_VXLAN_PORT, err);
	if (rc)
		return rc;
	if (nets->opt.dp)
		return dp_vtep_set(nets->opt.dp, &opt.vtep, vxlan_port, err);
	rc = dp_open(&opt, &dp, err);
	if (rc)
		return rc;
	nets->owns_dp = true;
	nets_set_dp(nets, dp);
	return 0;
}

int net_swarm_local_set(struct nets *nets, const struct net_local_config *c, struct network **ret,
			struct err *err)
{
	const struct net_driver *driver = net_driver_find(c->driver);
	struct network *n = nets_find(nets, c->id, NULL);
	json_t *body, *full = NULL;
	int rc = 0;

	if (n && streq(n->id, c->id)) {
		*ret = n;
		return 0;
	}
	if (str_empty(c->id) || strlen(c->id) >= HEX_ID_SIZE)
		return err_set(err, -EINVAL, "a network of the swarm needs an ID and a name");
	if (!driver || driver->single)
		return err_set(err, -ENOENT, "network %s: this node has no network driver %s",
			       c->name, c->driver);
	n = nets_find(nets, c->name, NULL);
	if (n && streq(n->name, c->name))
		return err_set(err, -EEXIST,
			       "network with name %s already exists on this node: remove it there",
			       c->name);
	body = json_pack("{s:s, s:b, s:b, s:O, s:O, s:{s:s}}", "Scope", "swarm", "Internal",
			 c->internal, "Attachable", c->attachable, "Options", c->options, "Labels",
			 c->labels, "ConfigFrom", "Network", c->config_from ? c->config_from : "");
	rc = nets_config_check(nets, body, err);
	if (!rc && !str_empty(c->config_from))
		rc = network_config_apply(nets, body, &full, err);
	if (!rc)
		rc = network_make(nets, c->id, c->name, driver, full ? full : body, ret, err);
	json_decref(body);
	json_decref(full);
	if (!rc)
		network_emit(*ret, "create", NULL);
	return rc;
}

int nets_swarm_keys(struct nets *nets, const struct ipsec_key *keys, size_t n, size_t primary,
		    struct err *err)
{
	return ipsec_keys_set(nets->ipsec, keys, n, primary, err);
}

void nets_swarm_end(struct nets *nets)
{
	struct dp *dp = nets->opt.dp;
	struct network *n, *tmp;
	struct err err = ERR_INIT;

	list_for_each_safe (n, tmp, &nets->networks, node)
		if (net_is_swarm(n) && list_empty(&n->endpoints))
			net_remove(n, NULL);
	records_vteps_clear(nets);
	if (ipsec_clear(nets->ipsec, &err))
		log_warn("%s", err.msg);
	nets_set_dp(nets, NULL);
	if (nets->owns_dp)
		dp_destroy(dp);
	else if (!dp && dp_clean(nets->opt.exec_root, &err))
		log_warn("a former agent's datapath is not removed: %s", err.msg);
	nets->owns_dp = false;
}

struct dp *nets_dp(struct nets *nets)
{
	return nets->opt.dp;
}

json_t *nets_verify(struct nets *nets, bool mend)
{
	struct err err = ERR_INIT;

	assert(nets->opt.dp);
	records_flush(nets); /* what is still to be told is no difference */
	dp_verify_begin(nets->opt.dp, mend);
	/* what cannot be mended is said in the reply */
	swarm_net_resync(nets, &err);
	records_flush(nets);
	uplinks_resync(nets->uplinks);
	return dp_verify_end(nets->opt.dp);
}

/* At the agent's end. What it does for the swarm goes on without it. */
void nets_swarm_done(struct nets *nets)
{
	uplinks_free(nets->uplinks);
	timer_done(&nets->sync_timer);
	ipsec_free(nets->ipsec);
	if (nets->owns_dp)
		dp_close(nets->opt.dp);
}
