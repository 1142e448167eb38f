// SPDX-License-Identifier: Apache-2.0
#include "net/ipsec.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "core/map.h"
#include "net/xfrm.h"

_Static_assert((int)IPSEC_KEY_SIZE == (int)XFRM_KEY_SIZE, "one key, two names");

enum { PROBE_SPI = 0x100 }; /* the first that is nobody else's (RFC 4303 §2.1) */

struct ipsec {
	struct xfrm *xfrm; /* NULL: nothing was to be done yet */
	bool begun;
	struct in_addr local;
	uint16_t port;
	struct ipsec_key keys[IPSEC_KEYS_MAX];
	size_t n_keys, primary;
	bool settled; /* all peers have them */
	struct map peers; /* by text -> struct in_addr */
};

struct ipsec *ipsec_new(void)
{
	struct ipsec *s = xcalloc(1, sizeof(*s));

	map_init(&s->peers);
	return s;
}

static void forget_peers(struct ipsec *s)
{
	struct in_addr *peer;
	const char *text;

	map_for_each (&s->peers, text, peer)
		free(peer);
	map_done(&s->peers);
	map_init(&s->peers);
}

void ipsec_free(struct ipsec *s)
{
	if (!s)
		return;
	forget_peers(s);
	map_done(&s->peers);
	xfrm_close(s->xfrm);
	explicit_bzero(s->keys, sizeof(s->keys));
	free(s);
}

/* FNV-1a. An IPv4 address counts as the 16 bytes that it is mapped to. */
static uint32_t hash(uint32_t h, const void *data, size_t size)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < size; i++)
		h = (h ^ p[i]) * 16777619;
	return h;
}

static uint32_t hash_addr(uint32_t h, struct in_addr a)
{
	static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

	return hash(hash(h, mapped, sizeof(mapped)), &a, sizeof(a));
}

uint32_t ipsec_spi(struct in_addr src, struct in_addr dst, uint32_t tag)
{
	uint32_t big_endian = htonl(tag), h = hash_addr(2166136261, src);

	return hash_addr(hash(h, &big_endian, sizeof(big_endian)), dst);
}

static struct xfrm_sa sa_of(struct in_addr src, struct in_addr dst, const struct ipsec_key *key)
{
	return (struct xfrm_sa){src, dst, ipsec_spi(src, dst, key->tag)};
}

static int states_add(struct ipsec *s, struct in_addr peer, const struct ipsec_key *key,
		      struct err *err)
{
	struct xfrm_sa in = sa_of(peer, s->local, key), out = sa_of(s->local, peer, key);
	int rc = xfrm_state_add(s->xfrm, &in, key->key, err);

	return rc ? rc : xfrm_state_add(s->xfrm, &out, key->key, err);
}

static void states_del(struct ipsec *s, struct in_addr peer, const struct ipsec_key *key)
{
	struct xfrm_sa in = sa_of(peer, s->local, key), out = sa_of(s->local, peer, key);

	xfrm_state_del(s->xfrm, &in);
	xfrm_state_del(s->xfrm, &out);
}

static int policy_set(struct ipsec *s, struct in_addr peer, struct err *err)
{
	struct xfrm_sa out = sa_of(s->local, peer, &s->keys[s->primary]);

	return xfrm_policy_set(s->xfrm, &out, s->port, err);
}

static int peer_up(struct ipsec *s, struct in_addr peer, struct err *err)
{
	int rc = 0;

	for (size_t i = 0; i < s->n_keys && !rc; i++)
		rc = states_add(s, peer, &s->keys[i], err);
	return rc || !s->n_keys ? rc : policy_set(s, peer, err);
}

static void peer_down(struct ipsec *s, struct in_addr peer)
{
	struct xfrm_sa way = {s->local, peer, 0};

	xfrm_policy_del(s->xfrm, &way, s->port);
	for (size_t i = 0; i < s->n_keys; i++)
		states_del(s, peer, &s->keys[i]);
}

static int open_once(struct ipsec *s, struct err *err)
{
	return s->xfrm ? 0 : xfrm_open(&s->xfrm, err);
}

/* A state that nobody uses shows whether there can be any; the kernel loads what it has for it. */
static int probe(struct ipsec *s, struct err *err)
{
	static const uint8_t key[IPSEC_KEY_SIZE];
	struct in_addr lo = {htonl(INADDR_LOOPBACK)};
	struct xfrm_sa sa = {lo, lo, PROBE_SPI};
	int rc = xfrm_state_add(s->xfrm, &sa, key, err);

	return rc ? rc : xfrm_state_del(s->xfrm, &sa);
}

int ipsec_begin(struct ipsec *s, struct err *err)
{
	struct err why = ERR_INIT;
	int rc;

	if (s->begun)
		return 0;
	rc = open_once(s, &why);
	rc = rc ? rc : probe(s, &why);
	rc = rc ? rc : xfrm_require(s->xfrm, &why);
	if (rc == -ENOSYS || rc == -EPROTONOSUPPORT || rc == -ENOENT)
		return err_set(err, -EPROTONOSUPPORT,
			       "this node's kernel has no IPsec with AES-GCM: load the modules "
			       "esp4 and gcm, or run one with CONFIG_INET_ESP and "
			       "CONFIG_CRYPTO_GCM");
	if (rc)
		return err_set(err, rc, "%s", why.msg);
	s->begun = true;
	return 0;
}

int ipsec_local_set(struct ipsec *s, struct in_addr addr, uint16_t port, struct err *err)
{
	struct in_addr *peer;
	const char *text;
	int rc = 0;

	if (addr.s_addr == s->local.s_addr && port == s->port)
		return 0;
	map_for_each (&s->peers, text, peer)
		peer_down(s, *peer);
	s->local = addr;
	s->port = port;
	map_for_each (&s->peers, text, peer)
		rc = rc ? rc : peer_up(s, *peer, err);
	return rc;
}

static bool has_tag(const struct ipsec_key *keys, size_t n, uint32_t tag)
{
	for (size_t i = 0; i < n; i++)
		if (keys[i].tag == tag)
			return true;
	return false;
}

int ipsec_keys_set(struct ipsec *s, const struct ipsec_key *keys, size_t n, size_t primary,
		   struct err *err)
{
	struct ipsec_key old[IPSEC_KEYS_MAX];
	size_t n_old = s->n_keys;
	struct in_addr *peer;
	const char *text;
	int rc = 0;

	/* managers say them again with whatever else they say */
	if (s->settled && n == s->n_keys && primary == s->primary &&
	    !memcmp(keys, s->keys, n * sizeof(*keys)))
		return 0;
	if (!n || n > IPSEC_KEYS_MAX || primary >= n)
		return err_set(err, -EINVAL, "%zu keys for encrypted networks cannot be used", n);
	memcpy(old, s->keys, sizeof(old));
	memcpy(s->keys, keys, n * sizeof(*keys));
	s->n_keys = n;
	s->primary = primary;
	map_for_each (&s->peers, text, peer) {
		rc = rc ? rc : peer_up(s, *peer, err);
		for (size_t i = 0; i < n_old && !rc; i++)
			if (!has_tag(keys, n, old[i].tag))
				states_del(s, *peer, &old[i]);
	}
	explicit_bzero(old, sizeof(old));
	s->settled = !rc;
	return rc;
}

static const char *text_of(struct in_addr a, char text[INET_ADDRSTRLEN])
{
	return inet_ntop(AF_INET, &a, text, INET_ADDRSTRLEN);
}

int ipsec_peer_set(struct ipsec *s, struct in_addr peer, struct err *err)
{
	char text[INET_ADDRSTRLEN];
	struct in_addr *p;
	int rc = ipsec_begin(s, err);

	if (rc || map_has(&s->peers, text_of(peer, text)))
		return rc;
	rc = peer_up(s, peer, err);
	if (rc) {
		peer_down(s, peer);
		return rc;
	}
	p = xcalloc(1, sizeof(*p));
	*p = peer;
	map_put(&s->peers, text, p);
	return 0;
}

void ipsec_peer_del(struct ipsec *s, struct in_addr peer)
{
	char text[INET_ADDRSTRLEN];
	struct in_addr *p = map_del(&s->peers, text_of(peer, text));

	if (p)
		peer_down(s, peer);
	free(p);
}

/* Is it of no peer, or of none of its keys? */
static bool is_stray(const struct xfrm_sa *sa, uint16_t port, void *arg)
{
	struct ipsec *s = arg;
	bool out = sa->src.s_addr == s->local.s_addr;
	char text[INET_ADDRSTRLEN];

	if (port && !sa->src.s_addr && !sa->dst.s_addr)
		return !s->begun;
	if (!out && sa->dst.s_addr != s->local.s_addr)
		return true;
	if (!map_has(&s->peers, text_of(out ? sa->dst : sa->src, text)) ||
	    (port && port != s->port))
		return true;
	for (size_t i = 0; i < s->n_keys; i++)
		if (sa->spi == ipsec_spi(sa->src, sa->dst, s->keys[i].tag))
			return false;
	return s->n_keys;
}

int ipsec_sweep(struct ipsec *s, struct err *err)
{
	return s->begun ? xfrm_judge(s->xfrm, is_stray, s, err) : 0;
}

int ipsec_end(struct ipsec *s, struct err *err)
{
	int rc = open_once(s, err);

	forget_peers(s);
	s->begun = false;
	if (rc) /* where there is no xfrm, nothing is left of it */
		return rc == -EPROTONOSUPPORT ? 0 : rc;
	return xfrm_judge(s->xfrm, is_stray, s, err);
}

int ipsec_clear(struct ipsec *s, struct err *err)
{
	explicit_bzero(s->keys, sizeof(s->keys));
	s->n_keys = s->primary = 0;
	s->settled = false;
	return s->begun ? ipsec_end(s, err) : 0;
}
