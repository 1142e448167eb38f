// SPDX-License-Identifier: Apache-2.0
/* A new swarm, or one begun again with this manager alone. */
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>

#include "core/log.h"
#include "disk/file.h"
#include "manager/bootstrap.h"
#include "manager/swarm_impl.h"
#include "wire/pb.h"

enum { DATA_PORT_MIN = 1024, DATA_PORT_MAX = 49151 };

struct init {
	struct swarm *swarm;
	Pb__ClusterSpec *spec;
	char *root_cert, *root_key;
	char worker_token[CA_TOKEN_SIZE], manager_token[CA_TOKEN_SIZE], digest[80];
	uint8_t unlock_key[VAULT_KEY_SIZE];
	const char **pools;
};

static void init_free(struct init *in)
{
	pb_free(in->spec);
	free(in->root_cert);
	if (in->root_key)
		OPENSSL_cleanse(in->root_key, strlen(in->root_key));
	free(in->root_key);
	free(in->pools);
	OPENSSL_cleanse(in->unlock_key, sizeof(in->unlock_key));
	free(in);
}

static Pb__NodeSpec__Availability availability_of(const char *a)
{
	return streq(a, "pause")   ? PB__NODE_SPEC__AVAILABILITY__PAUSE
	       : streq(a, "drain") ? PB__NODE_SPEC__AVAILABILITY__DRAIN
				   : PB__NODE_SPEC__AVAILABILITY__ACTIVE;
}

static int build_first(struct store_tx *tx, void *arg, struct err *err)
{
	struct init *in = arg;
	struct swarm *s = in->swarm;
	struct bootstrap b = {
		.rng = s->opt.rng,
		.cluster_id = s->cluster_id,
		.spec = in->spec,
		.root_cert = in->root_cert,
		.root_key = in->root_key,
		.root_digest = in->digest,
		.worker_token = in->worker_token,
		.manager_token = in->manager_token,
		.address_pool = in->pools,
		.subnet_size = s->state.subnet_size,
		.vxlan_port = s->state.data_path_port,
		.unlock_key = s->state.autolock ? (const char *)in->unlock_key : NULL,
		.node_id = s->node_id,
		.cert = s->files.cert,
		.availability = availability_of(s->state.availability),
	};

	return bootstrap_build(tx, &b, err);
}

static void on_first(const struct err *err, void *arg)
{
	struct init *in = arg;
	struct swarm *s = in->swarm;
	struct err bad = ERR_INIT;

	init_free(in);
	if (s->leaving)
		return;
	if (!err && swarm_settings_save(&s->state, s->dir, &bad))
		err = &bad;
	if (!err && swarm_node_start(s, &bad))
		err = &bad;
	if (err) {
		swarm_give_up(s, err);
		return;
	}
	swarm_cert_schedule(s);
}

static int check_pools(const char *const *pools, uint32_t subnet_size, struct err *err)
{
	for (size_t i = 0; pools && pools[i]; i++) {
		char host[ADDRESS_SIZE];
		const char *slash = strchr(pools[i], '/');
		struct in_addr a;
		uint64_t bits;

		if (!slash || slash - pools[i] >= ADDRESS_SIZE)
			return err_set(err, -EINVAL,
				       "invalid default address pool %s: it is no CIDR", pools[i]);
		snprintf(host, sizeof(host), "%.*s", (int)(slash - pools[i]), pools[i]);
		if (inet_pton(AF_INET, host, &a) != 1 || parse_u64(slash + 1, 8, 30, &bits))
			return err_set(err, -EINVAL,
				       "invalid default address pool %s: it is no IPv4 CIDR",
				       pools[i]);
		if (subnet_size && subnet_size < bits)
			return err_set(err, -EINVAL,
				       "subnet size %u is larger than the address pool %s",
				       subnet_size, pools[i]);
	}
	return 0;
}

static void root_digest(const char *pem, char dst[80])
{
	uint8_t sum[SHA256_DIGEST_LENGTH];

	SHA256((const uint8_t *)pem, strlen(pem), sum);
	memcpy(dst, "sha256:", 7);
	hex_encode(dst + 7, sum, sizeof(sum));
}

static int init_first(struct swarm *s, const struct swarm_init_options *opt, struct init *in,
		      struct err *err)
{
	char cluster_id[ID_SIZE], node_id[ID_SIZE];
	struct ca_files files = {NULL, NULL, NULL};
	struct manager_options mo;
	struct ca_leaf leaf;
	char *csr = NULL;
	int rc = dir_make(s->certs_dir, 0700, err);

	id_new(s->opt.rng, cluster_id);
	id_new(s->opt.rng, node_id);
	leaf = (struct ca_leaf){.node_id = node_id, .role = CA_MANAGER, .cluster_id = cluster_id};
	if (opt->spec && opt->spec->ca_config && opt->spec->ca_config->node_cert_expiry)
		leaf.expiry_ns = pb_duration_ns(opt->spec->ca_config->node_cert_expiry);
	if (!rc)
		rc = ca_root_new(&in->root_cert, &in->root_key, err);
	if (!rc)
		rc = ca_token_new(in->root_cert, in->worker_token, err);
	if (!rc)
		rc = ca_token_new(in->root_cert, in->manager_token, err);
	if (!rc)
		rc = ca_unlock_key_new(in->unlock_key, err);
	if (!rc)
		rc = ca_csr_new(&csr, &files.key, err);
	if (!rc)
		rc = ca_sign(in->root_cert, in->root_key, NULL, csr, &leaf, &files.cert, err);
	free(csr);
	files.root_cert = xstrdup(in->root_cert);
	if (!rc)
		root_digest(in->root_cert, in->digest);
	if (!rc)
		rc = swarm_need_vault(s, err);
	if (!rc)
		rc = swarm_cert_set(s, &files, err);
	ca_files_done(&files);
	if (rc)
		return rc;
	mo = swarm_manager_options(s);
	return manager_create(&mo, &s->manager, err);
}

static void init_force(struct swarm *s, const struct swarm_addresses *addr,
		       const struct swarm_init_options *opt, swarm_done done, void *arg)
{
	struct err err = ERR_INIT;

	swarm_stop_all(s, false);
	if (!str_empty(opt->node.listen_addr) || !str_empty(opt->node.advertise_addr))
		s->state.addr = *addr;
	json_array_clear(s->state.managers);
	s->state.remote[0] = '\0';
	swarm_set_advertise_ip(s);
	if (swarm_settings_save(&s->state, s->dir, &err) || swarm_cert_load(s, &err) ||
	    swarm_start(s, true, &err)) {
		swarm_stop_all(s, false);
		swarm_set_status(s, SWARM_ERROR, err.msg);
		swarm_answer_later(s, done, arg, err.code, "%s", err.msg);
		return;
	}
	swarm_set_status(s, SWARM_PENDING, NULL);
	swarm_wait_for_ready(s, done, arg);
}

void swarm_init(struct swarm *s, const struct swarm_init_options *opt, swarm_done done, void *arg)
{
	struct swarm_addresses addr;
	struct err err = ERR_INIT;
	struct init *in;
	int rc;

	if (s->waiting)
		rc = err_set(&err, -EBUSY, "this node is busy with another init or join");
	else if (s->status != SWARM_INACTIVE && !opt->force_new_cluster)
		rc = err_set(&err, -EUNATCH, "%s", swarm_exists);
	else if (s->status == SWARM_LOCKED)
		rc = (swarm_store_or_err(s, &err), err.code);
	else if (s->status != SWARM_INACTIVE && !s->cert_manager)
		rc = (swarm_store_or_err(s, &err), err.code);
	else if (opt->data_path_port &&
		 (opt->data_path_port < DATA_PORT_MIN || opt->data_path_port > DATA_PORT_MAX))
		rc = err_set(&err, -EINVAL,
			     "invalid DataPathPort %u: the data path port must be between %d and "
			     "%d",
			     opt->data_path_port, DATA_PORT_MIN, DATA_PORT_MAX);
	else
		rc = swarm_check_availability(opt->node.availability, &err);
	if (!rc)
		rc = check_pools(opt->default_addr_pool, opt->subnet_size, &err);
	if (!rc && opt->force_new_cluster && s->status != SWARM_INACTIVE &&
	    str_empty(opt->node.listen_addr) && str_empty(opt->node.advertise_addr))
		addr = s->state.addr;
	else if (!rc)
		rc = swarm_addresses(opt->node.listen_addr, opt->node.advertise_addr,
				     opt->node.data_path_addr, s->opt.default_advertise_addr, &addr,
				     &err);
	if (rc) {
		swarm_answer_later(s, done, arg, rc, "%s", err.msg);
		return;
	}
	if (s->status != SWARM_INACTIVE) {
		init_force(s, &addr, opt, done, arg);
		return;
	}
	in = xcalloc(1, sizeof(*in));
	in->swarm = s;
	in->spec = pb_clone(opt->spec);
	s->state.addr = addr;
	s->state.availability =
		xstrdup(str_empty(opt->node.availability) ? "active" : opt->node.availability);
	s->state.subnet_size = opt->subnet_size;
	s->state.data_path_port = opt->data_path_port;
	s->state.autolock = opt->autolock_managers;
	if (opt->default_addr_pool && opt->default_addr_pool[0]) {
		s->state.pools = json_array();
		for (size_t i = 0; opt->default_addr_pool[i]; i++)
			json_array_append_new(s->state.pools,
					      json_string(opt->default_addr_pool[i]));
		in->pools = xcalloc(json_array_size(s->state.pools) + 1, sizeof(*in->pools));
		for (size_t i = 0; i < json_array_size(s->state.pools); i++)
			in->pools[i] = json_string_value(json_array_get(s->state.pools, i));
	}
	swarm_set_advertise_ip(s);
	rc = init_first(s, opt, in, &err);
	if (rc) {
		init_free(in);
		swarm_give_up(s, &err);
		swarm_answer_later(s, done, arg, rc, "%s", err.msg);
		return;
	}
	swarm_set_status(s, SWARM_PENDING, NULL);
	swarm_wait_for_ready(s, done, arg);
	writer_write(manager_writer(s->manager), build_first, on_first, in);
}
