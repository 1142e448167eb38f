// SPDX-License-Identifier: Apache-2.0
/*
 * The kernel compared with what shall be. What shall be is not kept here: whoever stated it says it
 * again, so that nothing is remembered of fifty thousand endpoints, and a wrong memory cannot
 * agree with a wrong kernel.
 */
#include <errno.h>
#include <stdio.h>

#include "datapath/dp_impl.h"

struct dp_verify {
	bool mend;
	size_t checked;
	struct map found; /* what the kernel has and nobody has asked for yet */
	struct map networks; /* said since the beginning */
	json_t *differences;
};

void dp_verify_begin(struct dp *dp, bool mend)
{
	struct dp_verify *v = xcalloc(1, sizeof(*v));

	assert(!dp->verify);
	v->mend = mend;
	v->differences = json_array();
	dp_items_read(dp, &v->found);
	dp->verify = v;
}

void dp_differs(struct dp *dp, const struct dp_item *item, const char *fmt, ...)
{
	char name[DP_ITEM_NAME_SIZE] = "datapath", text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (item)
		dp_item_name(item, name);
	json_array_append_new(
		dp->verify->differences,
		json_pack("{s:s, s:o, s:b}", "object", name, "text",
			  item ? json_sprintf("%s %s", name, text) : json_string(text), "mended",
			  0));
}

/* The differences from the n-th on are mended, or stay for the reason in err. */
static void done(struct dp *dp, size_t n, int rc, const struct err *err)
{
	json_t *d;

	for (; (d = json_array_get(dp->verify->differences, n)); n++) {
		if (rc) {
			json_object_set_new(d, "error", json_string(err->msg));
			continue;
		}
		json_object_set_new(d, "mended", json_true());
		dp_tell_repair(dp, json_string_value(json_object_get(d, "text")));
	}
}

static json_t *backend_of(json_t *list, const json_t *addr)
{
	size_t i;
	json_t *b;

	json_array_foreach (list, i, b)
		if (json_equal(json_object_get(b, "addr"), addr))
			return b;
	return NULL;
}

/* "has mtu 1400 instead of 1450", for each member that differs. */
static void compare(struct dp *dp, const struct dp_item *item, const char *what, json_t *want,
		    json_t *have)
{
	const char *key;
	json_t *v;

	json_object_foreach (want, key, v) {
		_cleanup_free_ char *to = NULL, *from = NULL;
		json_t *other = json_object_get(have, key);

		if (streq(key, "backends") || json_equal(v, other))
			continue;
		to = json_dumps(v, JSON_ENCODE_ANY);
		from = other ? json_dumps(other, JSON_ENCODE_ANY) : xstrdup("none");
		dp_differs(dp, item, "has %s%s %s instead of %s", what, key, from, to);
	}
}

static void compare_backends(struct dp *dp, const struct dp_item *item, json_t *want, json_t *have)
{
	char what[INET6_ADDRSTRLEN + 16];
	size_t i;
	json_t *b;

	json_array_foreach (want, i, b) {
		json_t *addr = json_object_get(b, "addr"), *other = backend_of(have, addr);

		snprintf(what, sizeof(what), "backend %s with ", json_string_value(addr));
		if (other)
			compare(dp, item, what, b, other);
		else
			dp_differs(dp, item, "lacks the backend %s", json_string_value(addr));
	}
	json_array_foreach (have, i, b) {
		const char *addr = json_string_value(json_object_get(b, "addr"));

		if (!backend_of(want, json_object_get(b, "addr")))
			dp_differs(dp, item, "has the backend %s, which nobody wants",
				   addr ? addr : "without an address");
	}
}

/* Does each backend have the slots that it shall have? */
static void compare_shares(struct dp *dp, const struct dp_item *item)
{
	const struct dp_service *s = item->service;
	_cleanup_free_ uint32_t *have = xcalloc(s->n_backends + 1, sizeof(*have));
	_cleanup_free_ uint16_t *table = NULL;
	uint32_t size = dp_service_table(s, &table), have_size = 0, wrong = 0;

	if (dp->ops->shares(dp, s, have, &have_size))
		return;
	if (have_size != size) {
		dp_differs(dp, item, "has a balancing table of %u slots instead of %u", have_size,
			   size);
		return;
	}
	for (uint32_t i = 0; i < size; i++) {
		if (have[table[i]])
			have[table[i]]--;
		else
			wrong++;
	}
	if (wrong)
		dp_differs(dp, item,
			   "has %u of %u slots of its balancing table missing or with another "
			   "backend",
			   wrong, size);
}

static void compare_item(struct dp *dp, const struct dp_item *item, const struct dp_item *found)
{
	json_t *want, *have;

	if (!dp_item_same(item, found)) {
		want = dp_item_json(item);
		have = dp_item_json(found);
		compare(dp, item, "", want, have);
		if (item->kind == DP_ITEM_SERVICE)
			compare_backends(dp, item, json_object_get(want, "backends"),
					 json_object_get(have, "backends"));
		json_decref(want);
		json_decref(have);
	} else if (item->kind == DP_ITEM_SERVICE) {
		compare_shares(dp, item);
	}
}

/* An address that the network has for this node is no endpoint, even if another node says so. */
static bool is_self(const struct dp_verify *v, const struct dp_item *item)
{
	struct dp_network id = {.vni = item->endpoint->vni};
	struct dp_item key = {.kind = DP_ITEM_NETWORK, .network = &id};
	const struct dp_item *n = dp_items_find(&v->networks, &key);
	const struct dp_addr *a = &item->endpoint->addr;

	return n && (!memcmp(a, &n->network->gateway, sizeof(*a)) ||
		     !memcmp(a, &n->network->node_addr, sizeof(*a)));
}

void dp_verify_item(struct dp *dp, const struct dp_item *item)
{
	struct dp_verify *v = dp->verify;
	size_t n = json_array_size(v->differences);
	_cleanup_free_ struct dp_item *found = dp_items_take(&v->found, item);
	struct err err = ERR_INIT;

	v->checked++;
	if (item->kind == DP_ITEM_NETWORK)
		dp_items_put(&v->networks, item);
	if (found)
		compare_item(dp, item, found);
	else if (item->kind != DP_ITEM_ENDPOINT || !is_self(v, item))
		dp_differs(dp, item, "is missing");
	if (found && dp->ops->check && json_array_size(v->differences) == n)
		dp->ops->check(dp, item);
	if (v->mend && json_array_size(v->differences) > n)
		done(dp, n, dp_item_set(dp, item, &err), &err);
}

static bool is_unwanted(struct dp *dp, const struct dp_item *item)
{
	/* dp_open() attaches the loopback; dp_sync_end() judges what a former agent left */
	return !dp->syncing &&
	       !(item->kind == DP_ITEM_LINK && item->link->role == DP_LINK_LOOPBACK);
}

static void judge_rest(struct dp *dp, enum dp_item_kind kind)
{
	struct dp_verify *v = dp->verify;
	const struct dp_item *item;
	const char *key;

	map_for_each (&v->found, key, item) {
		size_t n = json_array_size(v->differences);
		struct err err = ERR_INIT;

		if (item->kind != kind || !is_unwanted(dp, item))
			continue;
		dp_differs(dp, item, "is there, and nobody wants it");
		if (v->mend)
			done(dp, n, dp_item_del(dp, item, &err), &err);
	}
}

json_t *dp_verify_end(struct dp *dp)
{
	static const enum dp_item_kind order[] = {DP_ITEM_LINK, DP_ITEM_SERVICE, DP_ITEM_ENDPOINT,
						  DP_ITEM_PEER, DP_ITEM_NETWORK};
	struct dp_verify *v = dp->verify;
	size_t n = json_array_size(v->differences);
	struct err err = ERR_INIT;
	json_t *reply;

	if (dp->ops->check)
		dp->ops->check(dp, NULL);
	if (v->mend && json_array_size(v->differences) > n)
		done(dp, n, dp->ops->mend(dp, &err), &err);
	for (size_t i = 0; i < ARRAY_SIZE(order); i++)
		judge_rest(dp, order[i]);
	reply = json_pack("{s:I, s:b, s:o}", "checked", (json_int_t)v->checked, "syncing",
			  dp->syncing, "differences", v->differences);
	dp_items_done(&v->found);
	dp_items_done(&v->networks);
	free(v);
	dp->verify = NULL;
	return reply;
}
