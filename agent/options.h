/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's settings: dockerd's flags and the keys of daemon.json. A setting of dockerd that
 * means nothing here is accepted with a warning, an unknown one is an error.
 * Source: dockerd(8); moby daemon/config.
 */
#pragma once

#include <jansson.h>

#include "core/err.h"

struct str_list {
	char **v; /* NULL-terminated */
	size_t n;
};

struct options {
	struct str_list hosts, labels, insecure_registries, registry_mirrors, dns, dns_search,
		dns_opts;
	struct str_list default_address_pools, node_generic_resources, uplinks, log_opts,
		ignored_list;
	char *data_root, *exec_root, *pidfile, *config_file, *group, *log_level, *log_format;
	char *bip, *bip6, *fixed_cidr, *fixed_cidr_v6, *ip, *swarm_default_advertise_addr,
		*log_driver, *metrics_addr, *runtime;
	char *tlscacert, *tlscert, *tlskey, *cgroup_parent, *init_path, *datapath, *ingress_return;
	char *ignored;
	bool debug, tls, tlsverify, validate, version, help, live_restore, init, icc, ip_masq, ipv6,
		userland_proxy, experimental;
	bool live_restore_set, no_new_privileges, ignored_bool;
	int64_t mtu, shutdown_timeout, ignored_int;
	struct str_list warnings; /* settings accepted without meaning */
};

/*
 * Read the command line and the configuration file it names (default /etc/docker/daemon.json,
 * which may be absent or empty). -EINVAL with dockerd's sentence.
 */
int options_parse(struct options *o, int argc, char **argv, struct err *err);
/* Read the file again for SIGHUP: takes the reloadable keys (labels, debug, log-level, …) over. */
int options_reload(struct options *o, struct err *err);
void options_done(struct options *o);
/* The text of --help, malloc'd. */
char *options_help(void);
