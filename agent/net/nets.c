// SPDX-License-Identifier: Apache-2.0
/* The networks of this node: their store on disk, the predefined ones, creation and removal. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "core/log.h"
#include "core/when.h"
#include "disk/file.h"
#include "disk/mount.h"
#include "loop/events.h"
#include "loop/loop.h"
#include "net/net_impl.h"

enum { FILE_MAX_SIZE = 1 << 20 };

static char *net_path(const struct network *n)
{
	return xasprintf("%s/%s.json", n->swarm ? n->nets->run_dir : n->nets->dir, n->id);
}

struct network *network_new(struct nets *nets, const char *id, const char *name,
			    const struct net_driver *driver)
{
	struct network *n = xcalloc(1, sizeof(*n));

	n->nets = nets;
	snprintf(n->id, sizeof(n->id), "%s", id);
	n->name = xstrdup(name);
	n->driver = driver;
	time_format(loop_wall_ns(), n->created);
	list_init(&n->endpoints);
	names_init(&n->names);
	list_add_tail(&n->node, &nets->networks);
	return n;
}

void network_free(struct network *n)
{
	list_del(&n->node);
	records_free(n);
	names_done(&n->names);
	ipam_subnet_free(n->subnet);
	subnet6_free(n->subnet6);
	json_decref(n->aux6);
	json_decref(n->options);
	json_decref(n->labels);
	json_decref(n->ipam_options);
	json_decref(n->aux);
	json_decref(n->config);
	free(n->config_from);
	free(n->ipam_driver);
	free(n->name);
	free(n);
}

int network_save(struct network *n, struct err *err)
{
	_cleanup_free_ char *path = net_path(n), *text = NULL;
	json_t *o = network_file(n);
	int rc;

	if (n->swarm)
		swarm_net_file(n, o);
	if (n->driver->save)
		n->driver->save(n, o);
	text = json_dumps(o, JSON_INDENT(1));
	json_decref(o);
	if (!text)
		return err_set(err, -EINVAL,
			       "the network %s cannot be stored: it holds text that is not UTF-8",
			       n->name);
	rc = n->swarm ? file_write_volatile(path, text, strlen(text), 0600, err)
		      : file_write_atomic(path, text, strlen(text), 0600, err);
	return rc;
}

void network_forget(struct network *n)
{
	_cleanup_free_ char *path = net_path(n);

	unlink(path);
}

void network_emit(struct network *n, const char *action, const struct sandbox *sb)
{
	json_t *a = json_pack("{s:s, s:s}", "name", n->name, "type", n->driver->name);

	if (sb)
		json_object_set_new(a, "container", json_string(sb->id));
	events_emit(n->nets->opt.events, "network", action, n->id, a);
}

static int network_up(struct network *n, struct err *err)
{
	return n->driver->up ? n->driver->up(n, err) : 0;
}

static void network_down(struct network *n)
{
	if (n->driver->down)
		n->driver->down(n);
}

static int load_file(struct nets *nets, const char *path, bool swarm, struct err *err)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	const char *id, *name, *driver, *created;
	struct network *n;
	json_t *o;
	int rc = file_read(path, FILE_MAX_SIZE, &text, err);

	if (rc)
		return rc;
	o = json_loadb(text.data, text.len, 0, NULL);
	id = json_string_value(json_object_get(o, "Id"));
	name = json_string_value(json_object_get(o, "Name"));
	driver = json_string_value(json_object_get(o, "Driver"));
	created = json_string_value(json_object_get(o, "Created"));
	if (!id || !name || !driver || !created || strlen(id) >= HEX_ID_SIZE) {
		rc = err_set(err, -EBADMSG, "it is damaged");
	} else if (!net_driver_find(driver)) {
		rc = err_set(err, -ENOENT, "there is no driver %s", driver);
	} else if (swarm) {
		rc = swarm_net_restore(nets, o, err);
	} else {
		n = network_new(nets, id, name, net_driver_find(driver));
		snprintf(n->created, sizeof(n->created), "%s", created);
		n->predefined = streq(name, "bridge") || streq(name, "host") || streq(name, "none");
		rc = network_parse(n, o, err);
		if (rc)
			network_free(n);
		else if (n->driver->load)
			n->driver->load(n, o);
	}
	json_decref(o);
	return rc;
}

/* A file that cannot be used is left alone and said; the rest goes on. */
static int load_folder(struct nets *nets, const char *dir, bool swarm, struct err *err)
{
	struct dirent **names;
	int rc = dir_make(dir, 0700, err), n;

	if (rc)
		return rc;
	n = scandir(dir, &names, NULL, alphasort);
	for (int i = 0; i < n; i++) {
		_cleanup_free_ char *path = xasprintf("%s/%s", dir, names[i]->d_name);
		struct err why = ERR_INIT;

		if (ends_with(names[i]->d_name, ".json") && load_file(nets, path, swarm, &why))
			log_error("the network in %s is not loaded: %s", path, why.msg);
		free(names[i]);
	}
	if (n >= 0)
		free(names);
	return 0;
}

static struct network *by_name(struct nets *nets, const char *name)
{
	struct network *n;

	list_for_each (n, &nets->networks, node)
		if (streq(n->name, name))
			return n;
	return NULL;
}

int network_make(struct nets *nets, const char *id, const char *name,
		 const struct net_driver *driver, json_t *body, struct network **ret,
		 struct err *err)
{
	char fresh[HEX_ID_SIZE];
	struct network *n;
	int rc;

	if (!id) {
		id_new_hex(nets->opt.rng, fresh);
		id = fresh;
	}
	n = network_new(nets, id, name, driver);
	rc = network_parse(n, body, err);
	list_del(&n->node);
	if (!rc && driver->check)
		rc = driver->check(n, err);
	if (!rc) {
		rc = network_up(n, err);
		if (!rc)
			rc = network_save(n, err);
		if (rc)
			network_down(n);
	}
	if (rc) {
		network_free(n);
		return rc;
	}
	list_add_tail(&n->node, &nets->networks);
	*ret = n;
	return 0;
}

static int make_predefined(struct nets *nets, const char *name, const char *driver, struct err *err)
{
	struct network *n = by_name(nets, name);
	json_t *body;
	int rc;

	if (n)
		return 0;
	body = json_object();
	rc = network_make(nets, NULL, name, net_driver_find(driver), body, &n, err);
	json_decref(body);
	if (!rc)
		n->predefined = true;
	return rc;
}

static char **copy_list(char *const *list)
{
	size_t n = 0;
	char **copy;

	if (!list)
		return NULL;
	while (list[n])
		n++;
	copy = xcalloc(n + 1, sizeof(*copy));
	for (size_t i = 0; i < n; i++)
		copy[i] = xstrdup(list[i]);
	return copy;
}

static void free_list(char **list)
{
	for (size_t i = 0; list && list[i]; i++)
		free(list[i]);
	free(list);
}

static struct nets *alloc(const struct nets_options *opt)
{
	struct nets *nets = xcalloc(1, sizeof(*nets));

	nets->opt = *opt;
	nets->opt.dp = NULL; /* nets_set_dp() */
	nets->opt.engine_id = NULL; /* asked for once, at the start */
	nets->opt.datapath = xstrdup(opt->datapath);
	nets->opt.data_root = xstrdup(opt->data_root);
	nets->opt.exec_root = xstrdup(opt->exec_root);
	nets->opt.bip = xstrdup(opt->bip);
	nets->opt.bip6 = xstrdup(opt->bip6);
	nets->opt.fixed_cidr = xstrdup(opt->fixed_cidr);
	nets->opt.fixed_cidr6 = xstrdup(opt->fixed_cidr6);
	nets->opt.bind_addr = xstrdup(opt->bind_addr);
	nets->opt.pools = copy_list(opt->pools);
	nets->opt.dns = copy_list(opt->dns);
	nets->opt.dns_search = copy_list(opt->dns_search);
	nets->opt.dns_opts = copy_list(opt->dns_opts);
	nets->opt.uplinks = copy_list(opt->uplinks);
	nets->dir = xasprintf("%s/networks", opt->data_root);
	nets->run_dir = xasprintf("%s/swarm-networks", opt->exec_root);
	nets->netns_dir = xasprintf("%s/netns", opt->exec_root);
	nets->netns = -1;
	list_init(&nets->networks);
	list_init(&nets->sandboxes);
	list_init(&nets->dirty);
	nets_swarm_init(nets);
	return nets;
}

static void release(struct nets *nets)
{
	while (!list_empty(&nets->sandboxes))
		sandbox_free(list_first(&nets->sandboxes, struct sandbox, node));
	while (!list_empty(&nets->networks))
		network_free(list_first(&nets->networks, struct network, node));
	records_done(nets);
	nets_swarm_done(nets);
	ipam_free(nets->ipam);
	ipam6_free(nets->ipam6);
	ports_free(nets->ports);
	firewall_close(nets->fw);
	rt_close(nets->rt);
	if (nets->netns >= 0)
		close(nets->netns);
	free((char *)nets->opt.data_root);
	free((char *)nets->opt.exec_root);
	free((char *)nets->opt.bip);
	free((char *)nets->opt.bip6);
	free((char *)nets->opt.fixed_cidr);
	free((char *)nets->opt.fixed_cidr6);
	free((char *)nets->opt.bind_addr);
	free((char *)nets->opt.datapath);
	free_list(nets->opt.pools);
	free_list(nets->opt.dns);
	free_list(nets->opt.dns_search);
	free_list(nets->opt.dns_opts);
	free_list(nets->opt.uplinks);
	free(nets->dir);
	free(nets->run_dir);
	free(nets->netns_dir);
	free(nets);
}

static int check_options(const struct nets_options *opt, struct err *err)
{
	struct ip6_range r6;
	struct ip_range r;

	if (opt->bip && ip_range_parse(opt->bip, &r))
		return err_set(err, -EINVAL, "invalid address for docker0 (--bip): %s must be CIDR",
			       opt->bip);
	if (opt->bip6 && ip6_range_parse(opt->bip6, &r6))
		return err_set(err, -EINVAL,
			       "invalid IPv6 address for docker0 (--bip6): %s must be CIDR",
			       opt->bip6);
	if (opt->fixed_cidr && ip_range_parse(opt->fixed_cidr, &r))
		return err_set(err, -EINVAL,
			       "invalid range for docker0 (--fixed-cidr): %s must be CIDR",
			       opt->fixed_cidr);
	return 0;
}

int nets_open(const struct nets_options *opt, struct nets **ret, struct err *err)
{
	struct nets *nets = alloc(opt);
	struct network *n;
	int rc;

	nets->netns = netns_current();
	rc = nets->netns < 0 ? err_errno(err, nets->netns, "cannot open the network namespace") : 0;
	if (!rc)
		rc = rt_open(-1, &nets->rt, err);
	if (!rc)
		rc = firewall_open(&nets->fw, err);
	if (!rc)
		rc = ipam_new(nets->opt.pools, &nets->ipam, err);
	if (!rc)
		rc = ipam6_new(nets->opt.pools, opt->engine_id ? opt->engine_id : "", &nets->ipam6,
			       err);
	if (!rc)
		rc = check_options(opt, err);
	nets->ports = ports_new();
	if (!rc)
		rc = load_folder(nets, nets->dir, false, err);
	if (!rc)
		rc = dir_make(nets->netns_dir, 0711, err);
	if (!rc)
		rc = docker0_make(nets, err);
	if (!rc)
		rc = make_predefined(nets, "host", "host", err);
	if (!rc)
		rc = make_predefined(nets, "none", "null", err);
	if (rc) {
		release(nets);
		return rc;
	}
	sysctl_set("1", "ipv4/ip_forward");
	list_for_each (n, &nets->networks, node) {
		struct err why = ERR_INIT;

		if (network_up(n, &why) || (n->driver->save && network_save(n, &why)))
			log_error("the network %s cannot be used: %s", n->name, why.msg);
	}
	if (load_folder(nets, nets->run_dir, true, err))
		log_error("networks of the swarm are not restored: %s", err ? err->msg : "");
	*ret = nets;
	if (opt->dp)
		nets_set_dp(nets, opt->dp);
	return 0;
}

static bool netns_used(struct nets *nets, const char *path)
{
	struct sandbox *sb;

	list_for_each (sb, &nets->sandboxes, node)
		if (streq(sb->path, path))
			return true;
	return false;
}

void nets_sweep(struct nets *nets)
{
	struct err err = ERR_INIT;
	struct network *n, *tmp;
	struct dirent **names;
	int count = scandir(nets->netns_dir, &names, NULL, alphasort);

	for (int i = 0; i < count; i++) {
		_cleanup_free_ char *path = xasprintf("%s/%s", nets->netns_dir, names[i]->d_name);

		if (names[i]->d_name[0] != '.' && !netns_used(nets, path))
			netns_remove(path);
		free(names[i]);
	}
	if (count >= 0)
		free(names);
	list_for_each_safe (n, tmp, &nets->networks, node)
		if (net_is_swarm(n) && !n->ingress && list_empty(&n->endpoints))
			net_remove(n, NULL);
	if (firewall_sync(nets->fw, &err))
		log_error("containers are not reachable from outside: %s", err.msg);
}

void nets_free(struct nets *nets)
{
	struct network *n;
	struct sandbox *sb;

	if (!nets)
		return;
	list_for_each (sb, &nets->sandboxes, node)
		nets->kept |= sb->up;
	if (!nets->kept) {
		list_for_each (n, &nets->networks, node)
			network_down(n);
		firewall_destroy(nets->fw);
		nets->fw = NULL;
		rmdir(nets->netns_dir);
	}
	release(nets);
}

struct network *nets_next(struct nets *nets, struct network *n)
{
	struct list_head *next = n ? n->node.next : nets->networks.next;

	return next == &nets->networks ? NULL : list_entry(next, struct network, node);
}

struct network *nets_find(struct nets *nets, const char *ref, struct err *err)
{
	struct network *n, *hit = NULL;
	size_t matches = 0;

	if (str_empty(ref)) {
		err_set(err, -EINVAL, "invalid name or ID supplied: \"\"");
		return NULL;
	}
	list_for_each (n, &nets->networks, node)
		if (streq(n->id, ref))
			return n;
	n = by_name(nets, streq(ref, "default") ? "bridge" : ref);
	if (n)
		return n;
	list_for_each (n, &nets->networks, node)
		if (starts_with(n->id, ref)) {
			hit = n;
			matches++;
		}
	if (matches == 1)
		return hit;
	if (matches)
		err_set(err, -EINVAL,
			"network %s is ambiguous (%zu matches found based on ID prefix)", ref,
			matches);
	else
		err_set(err, -ENOENT, "network %s not found", ref);
	return NULL;
}

int net_create(struct nets *nets, json_t *body, struct network **ret, struct err *err)
{
	const char *name = json_string_value(json_object_get(body, "Name")),
		   *driver = json_string_value(json_object_get(body, "Driver"));
	const struct net_driver *d;
	json_t *full = NULL;
	struct network *n;
	bool only;
	int rc;

	if (str_empty(name) || strspn(name, " \t") == strlen(name))
		return err_set(err, -EINVAL, "invalid name: name is empty");
	if (str_empty(driver))
		driver = "bridge";
	n = by_name(nets, name);
	if (n && n->predefined)
		return err_set(err, -EACCES, "operation is not permitted on predefined %s network",
			       name);
	if (n)
		return err_set(err, -EEXIST, "network with name %s already exists", name);
	rc = nets_config_check(nets, body, err);
	if (rc)
		return rc;
	/* no driver would make anything of it */
	only = json_is_true(json_object_get(body, "ConfigOnly"));
	if (only)
		driver = "null";
	d = net_driver_find(driver);
	if (d && d->single && !only)
		return err_set(err, -EACCES, "only one instance of \"%s\" network is allowed",
			       driver);
	if (streq(driver, "overlay"))
		return err_set(err, -EACCES,
			       "This node is not a swarm manager. Use \"docker swarm init\" or "
			       "\"docker swarm join\" to "
			       "connect this node to swarm and try again.");
	if (!d)
		return err_set(err, -ENOENT,
			       "could not find plugin %s in v1 plugin registry: plugin not found",
			       driver);
	if (json_is_true(json_object_get(body, "Ingress")))
		return err_set(err, -EACCES,
			       "cannot create ingress network: it must be an overlay network of "
			       "the swarm");
	if (str_empty(network_config_from(body))) {
		rc = network_make(nets, NULL, name, d, body, &n, err);
	} else {
		rc = network_config_apply(nets, body, &full, err);
		if (!rc)
			rc = network_make(nets, NULL, name, d, full, &n, err);
		json_decref(full);
	}
	if (rc)
		return rc;
	network_emit(n, "create", NULL);
	*ret = n;
	return 0;
}

int net_remove(struct network *n, struct err *err)
{
	struct endpoint *e;

	if (n->predefined)
		return err_set(err, -EACCES, "%s is a pre-defined network and cannot be removed",
			       n->name);
	list_for_each (e, &n->endpoints, in_network)
		return err_set(err, -EACCES,
			       "error while removing network: network %s has active endpoints "
			       "(name:\"%s\" id:\"%.12s\")",
			       n->name, e->sandbox->name, e->id);
	if (network_config_user(n))
		return err_set(
			err, -EACCES,
			"configuration network \"%s\" is in use: remove the network %s first",
			n->name, network_config_user(n)->name);
	network_forget(n);
	if (n->swarm)
		swarm_net_down(n);
	else
		network_down(n);
	network_emit(n, "destroy", NULL);
	network_free(n);
	return 0;
}

int nets_gwbridge(struct nets *nets, struct network **ret, struct err *err)
{
	struct network *n = by_name(nets, "docker_gwbridge");
	json_t *body;
	int rc;

	if (n) {
		*ret = n;
		return 0;
	}
	body = json_pack("{s:{s:s, s:s, s:s}}", "Options", OPT_BRIDGE "name", "docker_gwbridge",
			 OPT_BRIDGE "enable_icc", "false", OPT_BRIDGE "enable_ip_masquerade",
			 "true");
	rc = network_make(nets, NULL, "docker_gwbridge", &net_driver_bridge, body, ret, err);
	json_decref(body);
	if (!rc)
		network_emit(*ret, "create", NULL);
	return rc;
}

const char *net_id(const struct network *n)
{
	return n->id;
}

const char *net_name(const struct network *n)
{
	return n->name;
}

const char *net_driver(const struct network *n)
{
	return n->driver->name;
}

bool net_is_swarm(const struct network *n)
{
	return n->swarm || n->of_swarm;
}

bool net_predefined(const struct network *n)
{
	return n->predefined;
}

bool net_config_only(const struct network *n)
{
	return n->config;
}

size_t net_endpoints(const struct network *n)
{
	struct endpoint *e;
	size_t count = 0;

	list_for_each (e, &n->endpoints, in_network)
		count++;
	return count;
}
