// SPDX-License-Identifier: Apache-2.0
#include "net/ipam6.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/sha.h>

#include "core/list.h"

typedef unsigned __int128 u128;

struct pool {
	struct ip6_range range;
	unsigned int size; /* prefix of the subnets cut out of it */
};

struct ipam6 {
	struct pool *pools;
	size_t n_pools;
	struct list_head subnets;
};

struct subnet6 {
	struct list_head node;
	struct ip6_range range;
	u128 *used; /* in order: few of very many */
	size_t n;
};

static u128 number(const struct in6_addr *a)
{
	u128 n = 0;

	for (int i = 0; i < 16; i++)
		n = n << 8 | a->s6_addr[i];
	return n;
}

static struct in6_addr address(u128 n)
{
	struct in6_addr a;

	for (int i = 15; i >= 0; i--, n >>= 8)
		a.s6_addr[i] = n;
	return a;
}

static u128 mask(unsigned int prefix)
{
	return prefix ? ~(u128)0 << (128 - prefix) : 0;
}

int ip6_parse(const char *s, struct in6_addr *ret)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr a;
	size_t n = strcspn(s, "/");

	if (n >= sizeof(text))
		return -EINVAL;
	memcpy(text, s, n);
	text[n] = 0;
	if (inet_pton(AF_INET6, text, &a) != 1 || IN6_IS_ADDR_V4MAPPED(&a))
		return -EINVAL;
	*ret = a;
	return 0;
}

int ip6_range_parse(const char *s, struct ip6_range *ret)
{
	const char *slash = strchr(s, '/');
	struct in6_addr a;
	uint64_t prefix;

	if (!slash || ip6_parse(s, &a) || parse_u64(slash + 1, 0, 128, &prefix))
		return -EINVAL;
	ret->base = address(number(&a) & mask(prefix));
	ret->prefix = prefix;
	return 0;
}

bool ip6_in(const struct in6_addr *ip, const struct ip6_range *r)
{
	return (number(ip) & mask(r->prefix)) == number(&r->base);
}

static bool overlap(const struct ip6_range *a, const struct ip6_range *b)
{
	return a->prefix < b->prefix ? ip6_in(&b->base, a) : ip6_in(&a->base, b);
}

static void add_pool(struct ipam6 *ipam, const struct ip6_range *range, unsigned int size)
{
	ipam->pools = xrealloc(ipam->pools, (ipam->n_pools + 1) * sizeof(*ipam->pools));
	ipam->pools[ipam->n_pools++] = (struct pool){*range, size};
}

static int parse_pool(struct ipam6 *ipam, const char *text, struct err *err)
{
	_cleanup_free_ char *copy = xstrdup(text);
	struct ip6_range range = {.prefix = 0};
	uint64_t size = 0;
	bool based = false;
	char *save = NULL;

	for (char *part = strtok_r(copy, ",", &save); part; part = strtok_r(NULL, ",", &save)) {
		if (starts_with(part, "base=") && !ip6_range_parse(part + 5, &range))
			based = true;
		else if (!starts_with(part, "size=") || parse_u64(part + 5, 1, 126, &size))
			return err_set(
				err, -EINVAL,
				"invalid default address pool %s: it must be base=CIDR,size=BITS",
				text);
	}
	if (!based || size < range.prefix)
		return err_set(
			err, -EINVAL,
			"invalid default address pool %s: it must be base=CIDR,size=BITS, and its "
			"subnets no larger than its base",
			text);
	add_pool(ipam, &range, size);
	return 0;
}

/* A unique local prefix (RFC 4193): fd and 40 bits of the ID's digest, the last of its first eight bytes. */
static struct ip6_range local_range(const char *id)
{
	struct ip6_range r = {.base = {{{0xfd}}}, .prefix = 48};
	uint8_t digest[SHA256_DIGEST_LENGTH];

	SHA256((const unsigned char *)id, strlen(id), digest);
	memcpy(&r.base.s6_addr[1], &digest[3], 5);
	return r;
}

int ipam6_new(char *const *pools, const char *id, struct ipam6 **ret, struct err *err)
{
	struct ipam6 *ipam = xcalloc(1, sizeof(*ipam));
	struct ip6_range local = local_range(id);

	list_init(&ipam->subnets);
	for (; pools && *pools; pools++) {
		int rc = strchr(*pools, ':') ? parse_pool(ipam, *pools, err) : 0;

		if (rc) {
			ipam6_free(ipam);
			return rc;
		}
	}
	if (!ipam->n_pools)
		add_pool(ipam, &local, 64);
	*ret = ipam;
	return 0;
}

void ipam6_free(struct ipam6 *ipam)
{
	if (!ipam)
		return;
	free(ipam->pools);
	free(ipam);
}

static const struct ip6_range *overlapping(const struct ipam6 *ipam, const struct ip6_range *r,
					   const struct ip6_range *avoid, size_t n_avoid)
{
	struct subnet6 *s;

	list_for_each (s, &ipam->subnets, node)
		if (overlap(&s->range, r))
			return &s->range;
	for (size_t i = 0; i < n_avoid; i++)
		if (overlap(&avoid[i], r))
			return &avoid[i];
	return NULL;
}

int ipam6_choose_subnet(const struct ipam6 *ipam, const struct ip6_range *avoid, size_t n_avoid,
			struct ip6_range *ret, struct err *err)
{
	for (size_t i = 0; i < ipam->n_pools; i++) {
		const struct pool *p = &ipam->pools[i];
		struct ip6_range r = {p->range.base, p->size};
		const struct ip6_range *hit;

		while (ip6_in(&r.base, &p->range)) {
			u128 last;

			hit = overlapping(ipam, &r, avoid, n_avoid);
			if (!hit) {
				*ret = r;
				return 0;
			}
			/* behind this subnet, or behind what it ran into, whichever is larger */
			last = number(&r.base) | ~mask(min(hit->prefix, r.prefix));
			if (last == ~(u128)0)
				break;
			r.base = address(last + 1);
		}
	}
	return err_set(err, -EINVAL, "all predefined address pools have been fully subnetted");
}

int ipam6_subnet_new(struct ipam6 *ipam, const struct ip6_range *range, struct subnet6 **ret,
		     struct err *err)
{
	struct subnet6 *s;

	if (overlapping(ipam, range, NULL, 0))
		return err_set(
			err, -EACCES,
			"invalid pool request: Pool overlaps with other one on this address space");
	s = xcalloc(1, sizeof(*s));
	s->range = *range;
	list_add_tail(&s->node, &ipam->subnets);
	*ret = s;
	return 0;
}

void subnet6_free(struct subnet6 *s)
{
	if (!s)
		return;
	list_del(&s->node);
	free(s->used);
	free(s);
}

const struct ip6_range *subnet6_range(const struct subnet6 *s)
{
	return &s->range;
}

/* Where it is, or where it would be. */
static size_t place(const struct subnet6 *s, u128 ip)
{
	size_t lo = 0, hi = s->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (s->used[mid] < ip)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* How many addresses from ip on are taken without a gap: their places count up as they do. */
static size_t run_of(const struct subnet6 *s, u128 ip)
{
	size_t at = place(s, ip), lo = 0, hi = s->n - at;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (s->used[at + mid] == ip + mid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void insert(struct subnet6 *s, size_t at, u128 ip)
{
	s->used = xrealloc(s->used, (s->n + 1) * sizeof(*s->used));
	memmove(&s->used[at + 1], &s->used[at], (s->n - at) * sizeof(*s->used));
	s->used[at] = ip;
	s->n++;
}

int subnet6_take(struct subnet6 *s, const struct in6_addr *ip, const struct ip6_range *within,
		 struct in6_addr *ret, struct err *err)
{
	u128 lo = number(&s->range.base), hi = lo | ~mask(s->range.prefix), want;
	char text[INET6_ADDRSTRLEN], base[INET6_ADDRSTRLEN];
	size_t run;

	inet_ntop(AF_INET6, &s->range.base, base, sizeof(base));
	if (s->range.prefix < 127)
		lo++;
	if (ip) {
		want = number(ip);
		inet_ntop(AF_INET6, ip, text, sizeof(text));
		if (want < lo || want > hi)
			return err_set(err, -EINVAL,
				       "invalid address %s: It does not belong to any of this "
				       "network's subnets (%s/%u)",
				       text, base, s->range.prefix);
		if (run_of(s, want))
			return err_set(err, -EBUSY, "Address already in use");
	} else {
		if (within && within->prefix > s->range.prefix &&
		    ip6_in(&within->base, &s->range)) {
			lo = max(lo, number(&within->base));
			hi = number(&within->base) | ~mask(within->prefix);
		}
		run = lo <= hi ? run_of(s, lo) : 0;
		if (lo > hi || run > hi - lo)
			return err_set(err, -ENOSPC,
				       "no available IPv6 addresses on this network's address "
				       "pools: %s/%u",
				       base, s->range.prefix);
		want = lo + run;
	}
	insert(s, place(s, want), want);
	*ret = address(want);
	return 0;
}

void subnet6_give(struct subnet6 *s, const struct in6_addr *ip)
{
	u128 n = number(ip);
	size_t at = place(s, n);

	if (at == s->n || s->used[at] != n)
		return;
	s->n--;
	memmove(&s->used[at], &s->used[at + 1], (s->n - at) * sizeof(*s->used));
}
