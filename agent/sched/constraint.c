// SPDX-License-Identifier: Apache-2.0
#include "sched/constraint.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <strings.h>

#include "wire/pb.h"

static bool key_is_valid(const char *key)
{
	if (!isalpha((unsigned char)*key) && *key != '_')
		return false;
	if (!key[1])
		return false;
	for (const char *p = key + 1; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("-_.", *p))
			return false;
	return true;
}

static bool value_is_valid(const char *value)
{
	if (!*value)
		return false;
	for (const char *p = value; *p; p++)
		if (!isalnum((unsigned char)*p) && !isspace((unsigned char)*p) &&
		    !strchr(":-_.*()?+[]\\^$|/", *p))
			return false;
	return true;
}

static int parse_one(const char *expr, struct constraint *ret, struct err *err)
{
	const char *op = strstr(expr, "==");

	if (!op)
		op = strstr(expr, "!=");
	if (!op)
		return err_set(err, -EINVAL, "constraint expected one operator from ==, !=");
	ret->equal = *op == '=';
	ret->key = xstrndup_trimmed(expr, op - expr);
	ret->value = xstrndup_trimmed(op + 2, strlen(op + 2));
	if (!key_is_valid(ret->key))
		return err_set(err, -EINVAL, "key '%s' is invalid", ret->key);
	if (!value_is_valid(ret->value))
		return err_set(err, -EINVAL, "value '%s' is invalid", ret->value);
	return 0;
}

int constraints_parse(char *const *exprs, size_t n, struct constraints *ret, struct err *err)
{
	struct constraints c = {xcalloc(n + 1, sizeof(*c.v)), 0};

	for (size_t i = 0; i < n; i++) {
		int rc = parse_one(exprs[i], &c.v[c.n++], err);

		if (rc) {
			constraints_done(&c);
			return rc;
		}
	}
	*ret = c;
	return 0;
}

void constraints_done(struct constraints *c)
{
	for (size_t i = 0; i < c->n; i++) {
		free(c->v[i].key);
		free(c->v[i].value);
	}
	free(c->v);
	*c = (struct constraints){0};
}

static bool matches(const struct constraint *c, const char *what)
{
	return !strcasecmp(c->value, what ? what : "") == c->equal;
}

struct address {
	int family;
	uint8_t bytes[16];
};

static bool parse_address(const char *s, struct address *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->family = strchr(s, ':') ? AF_INET6 : AF_INET;
	return inet_pton(ret->family, s, ret->bytes) == 1;
}

static bool in_prefix(const struct address *a, const struct address *net, unsigned int bits)
{
	if (a->family != net->family)
		return false;
	for (unsigned int i = 0; i < bits; i++)
		if ((a->bytes[i / 8] ^ net->bytes[i / 8]) & 0x80 >> i % 8)
			return false;
	return true;
}

/* A malformed address or prefix matches no node, whatever the operator. */
static bool match_ip(const struct constraint *c, const Pb__Node *node)
{
	const char *slash = strchr(c->value, '/');
	_cleanup_free_ char *addr =
		slash ? xstrndup(c->value, slash - c->value) : xstrdup(c->value);
	struct address want, have;
	uint64_t bits;
	bool known;

	if (!parse_address(addr, &want))
		return false;
	bits = want.family == AF_INET ? 32 : 128;
	if (slash && parse_u64(slash + 1, 0, bits, &bits))
		return false;
	known = node->status && parse_address(node->status->addr, &have);
	return (known && in_prefix(&have, &want, bits)) == c->equal;
}

static const char *label(const Pb__Annotations *a, const char *key)
{
	return a ? pb_label(a->labels, a->n_labels, key) : NULL;
}

static bool match_one(const struct constraint *c, const Pb__Node *node)
{
	static const char node_labels[] = "node.labels.", engine_labels[] = "engine.labels.";
	const Pb__NodeDescription *d = node->description;
	const Pb__Platform *p = d ? d->platform : NULL;
	const char *key = c->key;

	if (!strcasecmp(key, "node.id"))
		return matches(c, node->id);
	if (!strcasecmp(key, "node.hostname"))
		return matches(c, d ? d->hostname : NULL);
	if (!strcasecmp(key, "node.ip"))
		return match_ip(c, node);
	if (!strcasecmp(key, "node.role"))
		return matches(c, node->role == PB__NODE_ROLE__MANAGER ? "manager" : "worker");
	if (!strcasecmp(key, "node.platform.os"))
		return matches(c, p ? p->os : NULL);
	if (!strcasecmp(key, "node.platform.arch"))
		return matches(c, p ? p->architecture : NULL);
	if (!strncasecmp(key, node_labels, strlen(node_labels)))
		return matches(c, label(node->spec ? node->spec->annotations : NULL,
					key + strlen(node_labels)));
	if (!strncasecmp(key, engine_labels, strlen(engine_labels))) {
		const Pb__EngineDescription *e = d ? d->engine : NULL;

		return matches(c, e ? pb_label(e->labels, e->n_labels, key + strlen(engine_labels))
				    : NULL);
	}
	return false;
}

bool constraints_match(const struct constraints *c, const Pb__Node *node)
{
	for (size_t i = 0; i < c->n; i++)
		if (!match_one(&c->v[i], node))
			return false;
	return true;
}
