/* SPDX-License-Identifier: Apache-2.0 */
/* Frames made and read by hand, for tests of the datapath: Ethernet, ARP, IPv4, UDP, TCP, ICMP, VXLAN. */
#pragma once

#include <arpa/inet.h>
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* A frame in the making. */
struct frame {
	uint8_t b[2048];
	size_t len;
};

static inline uint32_t ip4(const char *s)
{
	struct in_addr a;

	assert(inet_pton(AF_INET, s, &a) == 1);
	return ntohl(a.s_addr);
}

static inline uint16_t get16(const uint8_t *p)
{
	return p[0] << 8 | p[1];
}

static inline uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static inline void put16(uint8_t *p, uint16_t v)
{
	p[0] = v >> 8;
	p[1] = v;
}

static inline void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v);
}

static inline uint16_t csum(const uint8_t *p, size_t size, uint64_t sum)
{
	for (size_t i = 0; i + 1 < size; i += 2)
		sum += get16(p + i);
	if (size & 1)
		sum += p[size - 1] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum & 0xffff;
}

static inline uint16_t l4_csum(const uint8_t *ip, size_t size)
{
	uint64_t pseudo =
		get16(ip + 12) + get16(ip + 14) + get16(ip + 16) + get16(ip + 18) + ip[9] + size;

	return csum(ip + 20, size, pseudo);
}

static inline void eth(struct frame *f, const uint8_t dst[6], const uint8_t src[6], uint16_t proto)
{
	memcpy(f->b, dst, 6);
	memcpy(f->b + 6, src, 6);
	put16(f->b + 12, proto);
	f->len = 14;
}

/* An IPv4 packet at off, whose payload of size bytes is there already. */
static inline void ipv4(uint8_t *ip, const char *src, const char *dst, uint8_t proto, size_t size,
			uint16_t frag)
{
	memset(ip, 0, 20);
	ip[0] = 0x45;
	put16(ip + 2, 20 + size);
	put16(ip + 4, 0x1234);
	put16(ip + 6, frag);
	ip[8] = 64;
	ip[9] = proto;
	put32(ip + 12, ip4(src));
	put32(ip + 16, ip4(dst));
	put16(ip + 10, csum(ip, 20, 0));
}

static const uint8_t mac_any[6] = {2, 1, 2, 3, 4, 5};

static inline struct frame udp(const uint8_t dmac[6], const char *src, uint16_t sport,
			       const char *dst, uint16_t dport, size_t size)
{
	struct frame f = {0};
	uint8_t *l4 = f.b + 34;

	eth(&f, dmac, mac_any, 0x0800);
	put16(l4, sport);
	put16(l4 + 2, dport);
	put16(l4 + 4, 8 + size);
	for (size_t i = 0; i < size; i++)
		l4[8 + i] = i;
	ipv4(f.b + 14, src, dst, 17, 8 + size, 0);
	put16(l4 + 6, l4_csum(f.b + 14, 8 + size));
	f.len = 42 + size;
	return f;
}

static inline struct frame tcp(const uint8_t dmac[6], const char *src, uint16_t sport,
			       const char *dst, uint16_t dport, uint8_t flags, size_t size)
{
	struct frame f = {0};
	uint8_t *l4 = f.b + 34;

	eth(&f, dmac, mac_any, 0x0800);
	put16(l4, sport);
	put16(l4 + 2, dport);
	put32(l4 + 4, 0x01020304);
	l4[12] = 5 << 4;
	l4[13] = flags;
	ipv4(f.b + 14, src, dst, 6, 20 + size, 0);
	put16(l4 + 16, l4_csum(f.b + 14, 20 + size));
	f.len = 54 + size;
	return f;
}

/* An ICMP error from src about a UDP or TCP packet. */
static inline struct frame icmp_error(const uint8_t dmac[6], const char *src, const char *dst,
				      uint8_t code, const char *esrc, uint16_t esport,
				      const char *edst, uint16_t edport)
{
	struct frame about = udp(mac_any, esrc, esport, edst, edport, 20), f = {0};
	uint8_t *icmp = f.b + 34;

	eth(&f, dmac, mac_any, 0x0800);
	icmp[0] = 3;
	icmp[1] = code;
	memcpy(icmp + 8, about.b + 14, 28);
	put16(icmp + 2, csum(icmp, 36, 0));
	ipv4(f.b + 14, src, dst, 1, 36, 0);
	f.len = 70;
	return f;
}

static inline struct frame vxlan(const uint8_t dmac[6], const char *src, const char *dst,
				 uint32_t vni, const struct frame *inner)
{
	struct frame f = {0};

	eth(&f, dmac, mac_any, 0x0800);
	memcpy(f.b + 50, inner->b, inner->len);
	put16(f.b + 34, 50000);
	put16(f.b + 36, 4789);
	put16(f.b + 38, 16 + inner->len);
	put32(f.b + 42, 0x08000000);
	put32(f.b + 46, vni << 8);
	ipv4(f.b + 14, src, dst, 17, 16 + inner->len, 0);
	f.len = 50 + inner->len;
	return f;
}

/* All checksums of an IPv4 packet are right. */
static inline bool sound(const uint8_t *ip)
{
	size_t size = get16(ip + 2) - 20;

	if (csum(ip, 20, 0))
		return false;
	if (get16(ip + 6) & 0x3fff)
		return true;
	if (ip[9] == 1)
		return !csum(ip + 20, size, 0);
	if (ip[9] == 17 && !get16(ip + 26))
		return true;
	return !l4_csum(ip, size);
}

static inline struct frame arp(const char *spa, const char *tpa)
{
	struct frame f = {0};
	uint8_t *a = f.b + 14;

	eth(&f, (const uint8_t *)"\xff\xff\xff\xff\xff\xff", mac_any, 0x0806);
	put16(a, 1);
	put16(a + 2, 0x0800);
	a[4] = 6;
	a[5] = 4;
	put16(a + 6, 1);
	memcpy(a + 8, mac_any, 6);
	put32(a + 14, ip4(spa));
	put32(a + 24, ip4(tpa));
	f.len = 42;
	return f;
}
