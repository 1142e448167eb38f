// SPDX-License-Identifier: Apache-2.0
#include "alloc/subnet.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

int cidr_parse(const char *s, struct cidr *ret)
{
	const char *slash = s ? strchr(s, '/') : NULL;
	char text[16];
	struct in_addr a;
	uint64_t bits = 32;
	size_t len;

	if (!s)
		return -EINVAL;
	len = slash ? (size_t)(slash - s) : strlen(s);
	if (len >= sizeof(text) || (slash && parse_u64(slash + 1, 0, 32, &bits)))
		return -EINVAL;
	memcpy(text, s, len);
	text[len] = 0;
	if (inet_pton(AF_INET, text, &a) != 1)
		return -EINVAL;
	*ret = (struct cidr){ntohl(a.s_addr), bits};
	return 0;
}

char *addr_format(uint32_t addr, char buf[20])
{
	snprintf(buf, 20, "%u.%u.%u.%u", addr >> 24, addr >> 16 & 255, addr >> 8 & 255, addr & 255);
	return buf;
}

char *cidr_format(const struct cidr *c, char buf[20])
{
	addr_format(c->addr, buf);
	snprintf(buf + strlen(buf), 20 - strlen(buf), "/%u", c->bits & 63);
	return buf;
}

static uint32_t mask(unsigned int bits)
{
	return bits ? UINT32_MAX << (32 - bits) : 0;
}

uint32_t cidr_first(const struct cidr *c)
{
	return c->addr & mask(c->bits);
}

uint32_t cidr_last(const struct cidr *c)
{
	return c->addr | ~mask(c->bits);
}

bool cidr_overlap(const struct cidr *a, const struct cidr *b)
{
	return cidr_first(a) <= cidr_last(b) && cidr_first(b) <= cidr_last(a);
}

void subnet_init(struct subnet *s, const struct cidr *net, const struct cidr *range)
{
	uint32_t first = cidr_first(net), last = cidr_last(net);

	*s = (struct subnet){.net = {first, net->bits}, .lo = first, .hi = last};
	if (net->bits < 31) {
		s->lo++;
		s->hi--;
	}
	if (range) {
		s->lo = max(s->lo, cidr_first(range));
		s->hi = min(s->hi, cidr_last(range));
	}
}

void subnet_done(struct subnet *s)
{
	bitmap_done(&s->used);
}

bool subnet_has(const struct subnet *s, uint32_t addr)
{
	return addr >= cidr_first(&s->net) && addr <= cidr_last(&s->net);
}

bool subnet_set(struct subnet *s, uint32_t addr)
{
	return bitmap_set(&s->used, addr - s->net.addr);
}

bool subnet_clear(struct subnet *s, uint32_t addr)
{
	return bitmap_clear(&s->used, addr - s->net.addr);
}

int subnet_take(struct subnet *s, uint32_t *ret)
{
	uint64_t i;

	if (s->lo > s->hi || !bitmap_take(&s->used, s->lo - s->net.addr, s->hi - s->net.addr, &i))
		return -ENOSPC;
	*ret = s->net.addr + i;
	return 0;
}

void pools_init(struct pools *p)
{
	*p = (struct pools){0};
}

void pools_done(struct pools *p)
{
	for (size_t i = 0; i < p->n; i++)
		bitmap_done(&p->v[i].used);
	free(p->v);
	free(p->in_use);
	pools_init(p);
}

static void pool_add(struct pools *p, const struct cidr *net, unsigned int bits)
{
	/* Offsets of subnets fit 24 bits; a pool is never smaller than its subnets. */
	struct cidr c = {cidr_first(net), net->bits};

	p->v = xrealloc(p->v, (p->n + 1) * sizeof(*p->v));
	p->v[p->n++] = (struct pool){.net = c, .bits = max(bits, c.bits)};
}

void pools_set(struct pools *p, char *const *cidrs, size_t n, unsigned int subnet_bits)
{
	unsigned int bits = subnet_bits && subnet_bits <= 29 ? subnet_bits : 24;
	struct cidr c;

	for (size_t i = 0; i < n; i++)
		if (!cidr_parse(cidrs[i], &c))
			pool_add(p, &c, bits);
	if (!p->n)
		pool_add(p, &(struct cidr){10 << 24, 8}, bits);
}

/* Mark what of each pool the net covers. */
static void mark(struct pools *p, const struct cidr *net, bool used)
{
	for (size_t i = 0; i < p->n; i++) {
		struct pool *pool = &p->v[i];
		uint32_t lo, hi;

		if (!cidr_overlap(&pool->net, net))
			continue;
		lo = max(cidr_first(net), cidr_first(&pool->net));
		hi = min(cidr_last(net), cidr_last(&pool->net));
		lo = (lo - pool->net.addr) >> (32 - pool->bits);
		hi = (hi - pool->net.addr) >> (32 - pool->bits);
		for (uint64_t k = lo; k <= hi; k++)
			used ? bitmap_set(&pool->used, k) : bitmap_clear(&pool->used, k);
	}
}

static void use(struct pools *p, const struct cidr *net)
{
	p->in_use = xrealloc(p->in_use, (p->n_in_use + 1) * sizeof(*p->in_use));
	p->in_use[p->n_in_use++] = *net;
	mark(p, net, true);
}

int pools_reserve(struct pools *p, const struct cidr *net, bool force, struct err *err)
{
	char a[20], b[20];

	for (size_t i = 0; i < p->n_in_use && !force; i++)
		if (cidr_overlap(&p->in_use[i], net))
			return err_set(
				err, -EBUSY,
				"invalid pool request: Pool %s overlaps with %s, which another "
				"network has",
				cidr_format(net, a), cidr_format(&p->in_use[i], b));
	use(p, net);
	return 0;
}

int pools_take(struct pools *p, struct cidr *ret, struct err *err)
{
	for (size_t i = 0; i < p->n; i++) {
		struct pool *pool = &p->v[i];
		uint64_t n = 1ULL << (pool->bits - pool->net.bits), k;

		if (!bitmap_lowest(&pool->used, 0, n - 1, &k))
			continue;
		*ret = (struct cidr){pool->net.addr + (k << (32 - pool->bits)), pool->bits};
		use(p, ret);
		return 0;
	}
	return err_set(
		err, -ENOSPC,
		"all predefined address pools have been fully subnetted: remove a network, or "
		"give this one a subnet");
}

void pools_release(struct pools *p, const struct cidr *net)
{
	for (size_t i = 0; i < p->n_in_use; i++) {
		if (p->in_use[i].addr != net->addr || p->in_use[i].bits != net->bits)
			continue;
		p->in_use[i] = p->in_use[--p->n_in_use];
		mark(p, net, false);
		/* other networks may have chosen addresses among them */
		for (size_t k = 0; k < p->n_in_use; k++)
			if (cidr_overlap(&p->in_use[k], net))
				mark(p, &p->in_use[k], true);
		return;
	}
}
