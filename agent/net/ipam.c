// SPDX-License-Identifier: Apache-2.0
#include "net/ipam.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#include "core/list.h"

struct pool {
	struct ip_range range;
	unsigned int size; /* prefix of the subnets cut out of it */
};

struct ipam {
	struct pool *pools;
	size_t n_pools;
	struct list_head subnets;
};

struct subnet {
	struct list_head node;
	struct ip_range range;
	uint64_t *used; /* bit of an offset; grows to the highest one taken */
	size_t n_words;
	size_t full; /* words before this one have no free bit */
};

static uint32_t mask(unsigned int prefix)
{
	return prefix ? UINT32_MAX << (32 - prefix) : 0;
}

int ip_parse(const char *s, uint32_t *ret)
{
	char text[16];
	struct in_addr a;
	size_t n = strcspn(s, "/");

	if (n >= sizeof(text))
		return -EINVAL;
	memcpy(text, s, n);
	text[n] = 0;
	if (inet_pton(AF_INET, text, &a) != 1)
		return -EINVAL;
	*ret = ntohl(a.s_addr);
	return 0;
}

int ip_range_parse(const char *s, struct ip_range *ret)
{
	const char *slash = strchr(s, '/');
	uint64_t prefix;
	uint32_t ip;

	if (!slash || ip_parse(s, &ip) || parse_u64(slash + 1, 0, 32, &prefix))
		return -EINVAL;
	ret->base = ip & mask(prefix);
	ret->prefix = prefix;
	return 0;
}

char *ip_format(uint32_t ip, char dst[16])
{
	struct in_addr a = {htonl(ip)};

	inet_ntop(AF_INET, &a, dst, 16);
	return dst;
}

bool ip_in(uint32_t ip, const struct ip_range *r)
{
	return (ip & mask(r->prefix)) == r->base;
}

bool ip_ranges_overlap(const struct ip_range *a, const struct ip_range *b)
{
	uint32_t m = mask(min(a->prefix, b->prefix));

	return (a->base & m) == (b->base & m);
}

static void add_pool(struct ipam *ipam, struct ip_range range, unsigned int size)
{
	ipam->pools = xrealloc(ipam->pools, (ipam->n_pools + 1) * sizeof(*ipam->pools));
	ipam->pools[ipam->n_pools++] = (struct pool){range, size};
}

static int parse_pool(struct ipam *ipam, const char *text, struct err *err)
{
	_cleanup_free_ char *copy = xstrdup(text);
	struct ip_range range;
	uint64_t size = 0;
	bool based = false;
	char *save = NULL;

	for (char *part = strtok_r(copy, ",", &save); part; part = strtok_r(NULL, ",", &save)) {
		if (starts_with(part, "base=") && !ip_range_parse(part + 5, &range))
			based = true;
		else if (!starts_with(part, "size=") || parse_u64(part + 5, 1, 30, &size))
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
	add_pool(ipam, range, size);
	return 0;
}

int ipam_new(char *const *pools, struct ipam **ret, struct err *err)
{
	struct ipam *ipam = xcalloc(1, sizeof(*ipam));

	list_init(&ipam->subnets);
	for (; pools && *pools; pools++) {
		int rc = strchr(*pools, ':') ? 0 : parse_pool(ipam, *pools, err);

		if (rc) {
			ipam_free(ipam);
			return rc;
		}
	}
	if (!ipam->n_pools) {
		for (uint32_t i = 17; i < 32; i++)
			add_pool(ipam, (struct ip_range){172u << 24 | i << 16, 16}, 16);
		add_pool(ipam, (struct ip_range){192u << 24 | 168u << 16, 16}, 20);
	}
	*ret = ipam;
	return 0;
}

void ipam_free(struct ipam *ipam)
{
	if (!ipam)
		return;
	free(ipam->pools);
	free(ipam);
}

static const struct ip_range *overlapping(const struct ipam *ipam, const struct ip_range *r,
					  const struct ip_range *avoid, size_t n_avoid)
{
	struct subnet *s;

	list_for_each (s, &ipam->subnets, node)
		if (ip_ranges_overlap(&s->range, r))
			return &s->range;
	for (size_t i = 0; i < n_avoid; i++)
		if (ip_ranges_overlap(&avoid[i], r))
			return &avoid[i];
	return NULL;
}

int ipam_choose_subnet(const struct ipam *ipam, const struct ip_range *avoid, size_t n_avoid,
		       struct ip_range *ret, struct err *err)
{
	for (size_t i = 0; i < ipam->n_pools; i++) {
		const struct pool *p = &ipam->pools[i];
		struct ip_range r = {p->range.base, p->size};
		const struct ip_range *hit;

		while (ip_in(r.base, &p->range)) {
			uint64_t next;

			hit = overlapping(ipam, &r, avoid, n_avoid);
			if (!hit) {
				*ret = r;
				return 0;
			}
			/* behind this subnet, or behind what it ran into, whichever is larger */
			next = hit->prefix < r.prefix
				       ? (uint64_t)hit->base + (1ull << (32 - hit->prefix))
				       : (uint64_t)r.base + (1ull << (32 - r.prefix));
			if (next > UINT32_MAX)
				break;
			r.base = next;
		}
	}
	return err_set(err, -EINVAL, "all predefined address pools have been fully subnetted");
}

struct subnet *ipam_subnet_foreign(const struct ip_range *range)
{
	struct subnet *s = xcalloc(1, sizeof(*s));

	list_init(&s->node);
	s->range = *range;
	return s;
}

int ipam_subnet_new(struct ipam *ipam, const struct ip_range *range, struct subnet **ret,
		    struct err *err)
{
	if (overlapping(ipam, range, NULL, 0))
		return err_set(
			err, -EACCES,
			"invalid pool request: Pool overlaps with other one on this address space");
	*ret = ipam_subnet_foreign(range);
	list_add_tail(&(*ret)->node, &ipam->subnets);
	return 0;
}

void ipam_subnet_free(struct subnet *s)
{
	if (!s)
		return;
	list_del(&s->node);
	free(s->used);
	free(s);
}

const struct ip_range *ipam_subnet_range(const struct subnet *s)
{
	return &s->range;
}

static bool taken(const struct subnet *s, uint32_t off)
{
	return off / 64 < s->n_words && s->used[off / 64] >> off % 64 & 1;
}

/* The lowest free offset in [lo, hi], or UINT32_MAX. */
static uint32_t first_free(struct subnet *s, uint32_t lo, uint32_t hi)
{
	size_t w = max((size_t)lo / 64, s->full);

	while (s->full < s->n_words && s->used[s->full] == UINT64_MAX)
		s->full++;
	for (; w < s->n_words && w * 64 <= hi; w++) {
		uint64_t free_bits = ~s->used[w];

		if (w == lo / 64)
			free_bits &= UINT64_MAX << lo % 64;
		if (free_bits) {
			uint64_t off = w * 64 + __builtin_ctzll(free_bits);

			return off <= hi ? off : UINT32_MAX;
		}
	}
	w = max((size_t)lo, w * 64);
	return w <= hi ? w : UINT32_MAX;
}

static void mark(struct subnet *s, uint32_t off)
{
	size_t w = off / 64;

	if (w >= s->n_words) {
		size_t n = max(w + 1, s->n_words * 2);

		s->used = xrealloc(s->used, n * sizeof(*s->used));
		memset(s->used + s->n_words, 0, (n - s->n_words) * sizeof(*s->used));
		s->n_words = n;
	}
	s->used[w] |= 1ull << off % 64;
}

int ipam_take(struct subnet *s, uint32_t ip, const struct ip_range *within, uint32_t *ret,
	      struct err *err)
{
	uint32_t last = ~mask(s->range.prefix), lo = 0, hi = last, off;
	char text[16], base[16];

	if (s->range.prefix < 31) {
		lo = 1;
		hi = last - 1;
	}
	if (ip) {
		off = ip - s->range.base;
		if (!ip_in(ip, &s->range) || off < lo || off > hi)
			return err_set(err, -EINVAL,
				       "invalid address %s: It does not belong to any of this "
				       "network's subnets (%s/%u)",
				       ip_format(ip, text), ip_format(s->range.base, base),
				       s->range.prefix);
		if (taken(s, off))
			return err_set(err, -EBUSY, "Address already in use");
	} else {
		if (within && within->prefix > s->range.prefix && ip_in(within->base, &s->range)) {
			lo = max(lo, within->base - s->range.base);
			hi = min(hi, (within->base | ~mask(within->prefix)) - s->range.base);
		}
		off = first_free(s, lo, hi);
		if (off == UINT32_MAX)
			return err_set(err, -ENOSPC,
				       "no available IPv4 addresses on this network's address "
				       "pools: %s/%u",
				       ip_format(s->range.base, base), s->range.prefix);
	}
	mark(s, off);
	*ret = s->range.base + off;
	return 0;
}

void ipam_give(struct subnet *s, uint32_t ip)
{
	uint32_t off = ip - s->range.base;

	if (!ip_in(ip, &s->range) || !taken(s, off))
		return;
	s->used[off / 64] &= ~(1ull << off % 64);
	s->full = min(s->full, (size_t)off / 64);
}
