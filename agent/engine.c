// SPDX-License-Identifier: Apache-2.0
#include "engine.h"

#include <stdio.h>

#include "core/buf.h"
#include "disk/file.h"
#include "image/image.h"
#include "loop/events.h"
#include "loop/loop.h"
#include "net/net.h"
#include "options.h"

/* The engine's ID is made once and kept: clients tell engines apart by it. */
static int load_id(struct engine *e, struct err *err)
{
	_cleanup_free_ char *path = xasprintf("%s/engine-id", e->options->data_root);
	_cleanup_buf_ struct buf text = BUF_INIT;
	uint8_t raw[16];
	char hex[33];

	if (!file_read(path, sizeof(e->id) - 1, &text, NULL) && text.len == 36) {
		memcpy(e->id, text.data, 37);
		return 0;
	}
	rng_bytes(&e->rng, raw, sizeof(raw));
	raw[6] = (raw[6] & 0x0f) | 0x40;
	raw[8] = (raw[8] & 0x3f) | 0x80;
	hex_encode(hex, raw, sizeof(raw));
	snprintf(e->id, sizeof(e->id), "%.8s-%.4s-%.4s-%.4s-%s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
	return file_write_atomic(path, e->id, 36, 0600, err);
}

static int open_images(struct engine *e, struct err *err)
{
	struct images_options opt = {
		.loop = e->loop,
		.events = e->events,
		.data_root = e->options->data_root,
		.exec_root = e->options->exec_root,
		.insecure_registries = e->options->insecure_registries.v,
	};

	return images_open(&opt, &e->images, err);
}

static int open_nets(struct engine *e, struct err *err)
{
	const struct options *o = e->options;
	struct nets_options opt = {
		.loop = e->loop,
		.events = e->events,
		.rng = &e->rng,
		.data_root = o->data_root,
		.exec_root = o->exec_root,
		.bip = o->bip,
		.pools = o->default_address_pools.v,
		.dns = o->dns.v,
		.dns_search = o->dns_search.v,
		.dns_opts = o->dns_opts.v,
		.uplinks = o->uplinks.v,
		.mtu = o->mtu,
		.icc = o->icc,
		.ip_masq = o->ip_masq,
	};

	return nets_open(&opt, &e->nets, err);
}

int engine_open(struct engine *e, struct options *options, struct err *err)
{
	int rc;

	memset(e, 0, sizeof(*e));
	e->options = options;
	rng_seed_os(&e->rng);
	gethostname(e->hostname, sizeof(e->hostname) - 1);
	rc = loop_new(0, &e->loop, err);
	if (rc)
		return rc;
	e->events = events_new();
	rc = load_id(e, err);
	if (!rc)
		rc = open_images(e, err);
	if (!rc)
		rc = open_nets(e, err);
	if (!rc)
		nets_sweep(e->nets);
	if (rc)
		engine_close(e);
	return rc;
}

void engine_close(struct engine *e)
{
	/* threads may still report to the modules: they end first */
	loop_drain(e->loop);
	nets_free(e->nets);
	images_free(e->images);
	events_free(e->events);
	loop_free(e->loop);
}
