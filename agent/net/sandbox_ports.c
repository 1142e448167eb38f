// SPDX-License-Identifier: Apache-2.0
/* Published ports of a sandbox: reserved by sockets, sent on by the firewall. */
#include <errno.h>
#include <stdio.h>

#include "core/log.h"
#include "net/conntrack.h"
#include "net/port_proxy.h"
#include "net/sandbox_impl.h"

uint8_t proto_number(const char *name)
{
	return streq(name, "tcp")    ? IPPROTO_TCP
	       : streq(name, "udp")  ? IPPROTO_UDP
	       : streq(name, "sctp") ? IPPROTO_SCTP
				     : 0;
}

const char *proto_name(uint8_t proto)
{
	return proto == IPPROTO_UDP ? "udp" : proto == IPPROTO_SCTP ? "sctp" : "tcp";
}

/* "80/tcp" or "80". */
static int parse_key(const char *key, uint16_t *ret_port, uint8_t *ret_proto, struct err *err)
{
	const char *slash = strchr(key, '/');
	char number[8];
	uint64_t port;
	size_t n = slash ? (size_t)(slash - key) : strlen(key);

	snprintf(number, sizeof(number), "%.*s", (int)min(n, sizeof(number) - 1), key);
	*ret_proto = proto_number(slash ? slash + 1 : "tcp");
	if (n >= sizeof(number) || parse_u64(number, 1, 65535, &port) || !*ret_proto)
		return err_set(err, -EINVAL, "invalid port specification: \"%s\"", key);
	*ret_port = port;
	return 0;
}

/* "", "8080" or "8000-8010"; first 0: any. */
static int parse_range(const char *s, uint16_t *first, uint16_t *last, struct err *err)
{
	char low[8];
	uint64_t a = 0, b;
	size_t n = strcspn(s, "-");

	*first = *last = 0;
	if (!*s || streq(s, "0"))
		return 0;
	snprintf(low, sizeof(low), "%.*s", (int)min(n, sizeof(low) - 1), s);
	if (n >= sizeof(low) || parse_u64(low, 1, 65535, &a))
		return err_set(err, -EINVAL, "invalid port specification: \"%s\"", s);
	b = a;
	if (s[n] && (parse_u64(s + n + 1, 1, 65535, &b) || b < a))
		return err_set(err, -EINVAL, "invalid port specification: \"%s\"", s);
	*first = a;
	*last = b;
	return 0;
}

/* The same port at all n addresses. */
static int reserve(struct sandbox *sb, uint16_t port, uint8_t proto, const struct in6_addr *addrs,
		   size_t n, uint16_t first, uint16_t last, struct err *err)
{
	struct endpoint *gw = sandbox_gateway(sb);
	int fds[PORTS_ADDRS_MAX];
	uint16_t host_port;
	int rc = ports_reserve(sb->nets->ports, proto, addrs, n, first, last, fds, &host_port, err);

	if (rc)
		return err_prefix(err,
				  "failed to set up container networking: driver failed "
				  "programming external connectivity "
				  "on endpoint %s (%s)",
				  sb->name, gw ? gw->id : sb->id);
	sb->published = xrealloc(sb->published, (sb->n_published + n) * sizeof(*sb->published));
	for (size_t i = 0; i < n; i++)
		sb->published[sb->n_published++] = (struct published){.proto = proto,
								      .port = port,
								      .host_port = host_port,
								      .host_addr = addrs[i],
								      .fd = fds[i]};
	return 0;
}

/* A port of IPv6 is answered by a container with IPv6, or through a proxy (net/port_proxy.h). */
static bool can_six(const struct sandbox *sb, uint8_t proto)
{
	bool proxy = sb->nets->opt.port_proxy && proto != IPPROTO_SCTP;

	return ports_have_ipv6() && (proxy || sandbox_gateway6(sb));
}

/*
 * Where a port is published without an address: at all, or where the network's option says, which
 * is about IPv4 and, unless it is 0.0.0.0, leaves IPv6 out.
 */
static size_t everywhere(const struct sandbox *sb, uint8_t proto,
			 struct in6_addr ret[PORTS_ADDRS_MAX])
{
	struct endpoint *gw = sandbox_gateway(sb);
	struct in_addr four = gw ? gw->network->host_addr : (struct in_addr){0};

	ret[0] = inaddr_of4(four);
	ret[1] = (struct in6_addr){0};
	return !four.s_addr && can_six(sb, proto) ? 2 : 1;
}

static int publish_one(struct sandbox *sb, const char *key, json_t *binding, struct err *err)
{
	const char *ip = json_string_value(json_object_get(binding, "HostIp")),
		   *port_text = json_string_value(json_object_get(binding, "HostPort"));
	struct in6_addr addrs[PORTS_ADDRS_MAX];
	uint16_t port, first, last;
	uint8_t proto;
	size_t n = 1;
	int rc = parse_key(key, &port, &proto, err);

	if (!rc)
		rc = parse_range(port_text ? port_text : "", &first, &last, err);
	if (rc)
		return rc;
	if (str_empty(ip))
		n = everywhere(sb, proto, addrs);
	else if (inaddr_parse(ip, &addrs[0]))
		return err_set(err, -EINVAL, "invalid IP address in the binding of port %s: %s",
			       key, ip);
	else if (!inaddr_is4(&addrs[0]) && !can_six(sb, proto))
		return err_set(err, -EOPNOTSUPP, "cannot publish port %s on %s: %s", key, ip,
			       ports_have_ipv6() ? "the container has no IPv6 address"
						 : "the node has no IPv6");
	return reserve(sb, port, proto, addrs, n, first, last, err);
}

static void add_exposed(struct sandbox *sb, uint16_t port, uint8_t proto)
{
	char text[16];

	snprintf(text, sizeof(text), "%u/%s", port, proto_name(proto));
	if (!sb->exposed)
		sb->exposed = json_object();
	json_object_set_new(sb->exposed, text, json_null());
}

/* Is it in such networks only? dockerd, too, takes published ports there and lets them be. */
static bool is_direct(const struct sandbox *sb)
{
	struct endpoint *e;

	list_for_each (e, &sb->endpoints, in_sandbox)
		if (!e->network->driver->direct)
			return false;
	return !list_empty(&sb->endpoints);
}

int sandbox_publish(struct sandbox *sb, json_t *bindings, json_t *exposed, bool publish_all,
		    struct err *err)
{
	const char *key;
	json_t *list, *v;
	size_t i;
	int rc = 0;

	/* the node's own namespace needs no way into it, nor what is in its networks directly */
	if (sb->host || sb->join || is_direct(sb))
		return 0;
	json_object_foreach (exposed, key, v) {
		uint16_t port;
		uint8_t proto;

		rc = parse_key(key, &port, &proto, err);
		if (rc)
			return rc;
		add_exposed(sb, port, proto);
		if (publish_all && !json_array_size(json_object_get(bindings, key)))
			rc = publish_one(sb, key, NULL, err);
		if (rc)
			return rc;
	}
	json_object_foreach (bindings, key, list) {
		if (json_is_array(list) && !json_array_size(list))
			rc = publish_one(sb, key, NULL, err);
		json_array_foreach (list, i, v) {
			rc = rc ? rc : publish_one(sb, key, v, err);
		}
		if (rc)
			return rc;
	}
	return 0;
}

/* The container's addresses that ports go to; 0 and ::, none. */
struct targets {
	struct in6_addr four, six;
};

static struct targets targets_of(uint32_t ip, const struct in6_addr *ip6)
{
	struct targets t = {.six = *ip6};

	if (ip)
		t.four = inaddr_of_u32(ip);
	return t;
}

static const struct in6_addr *target(const struct targets *t, const struct published *p)
{
	return inaddr_is4(&p->host_addr) ? &t->four : &t->six;
}

/* What the firewall sends on: the ports that have a target of their family. */
static size_t fw_ports(const struct sandbox *sb, const struct targets *t, struct fw_port **ret)
{
	size_t n = 0;

	*ret = xcalloc(sb->n_published, sizeof(**ret));
	for (size_t i = 0; i < sb->n_published; i++) {
		const struct published *p = &sb->published[i];

		if (!inaddr_is_zero(target(t, p)))
			(*ret)[n++] = (struct fw_port){p->proto, p->host_addr, *target(t, p),
						       p->host_port, p->port};
	}
	return n;
}

/* What reaches the socket of an IPv6 port is for the container's IPv6 address, else for its other one. */
static void start_proxies(struct sandbox *sb, const struct targets *t)
{
	const struct in6_addr *to = inaddr_is_zero(&t->six) ? &t->four : &t->six;

	if (inaddr_is_zero(to) || !sb->nets->opt.port_proxy)
		return;
	for (size_t i = 0; i < sb->n_published; i++) {
		struct published *p = &sb->published[i];

		if (!inaddr_is4(&p->host_addr) && p->fd >= 0)
			p->proxy = port_proxy_new(sb->nets->opt.loop, p->proto, p->fd, to, p->port);
	}
}

static void end_proxies(struct sandbox *sb)
{
	for (size_t i = 0; i < sb->n_published; i++) {
		port_proxy_free(sb->published[i].proxy);
		sb->published[i].proxy = NULL;
	}
}

struct forget {
	size_t n;
	struct conntrack_port ports[];
};

static void forget_work(void *arg)
{
	struct forget *f = arg;

	conntrack_forget(f->ports, f->n);
	free(f);
}

/* UDP clients that go on sending see that the port has come or gone. */
static void forget_flows(const struct sandbox *sb, const struct targets *t, bool gone)
{
	struct forget *f = xcalloc(1, sizeof(*f) + sb->n_published * sizeof(f->ports[0]));

	for (size_t i = 0; i < sb->n_published; i++) {
		const struct published *p = &sb->published[i];

		if (p->proto == IPPROTO_UDP && !inaddr_is_zero(target(t, p)))
			f->ports[f->n++] =
				(struct conntrack_port){p->host_port, *target(t, p), p->port, gone};
	}
	if (f->n)
		loop_work(sb->nets->opt.loop, forget_work, NULL, f);
	else
		free(f);
}

void sandbox_ports_withdraw(struct sandbox *sb)
{
	struct targets t = targets_of(sb->ports_ip, &sb->ports_ip6);
	_cleanup_free_ struct fw_port *ports = NULL;
	size_t n;

	end_proxies(sb);
	n = fw_ports(sb, &t, &ports);
	if (n) {
		firewall_ports_del(sb->nets->fw, ports, n);
		forget_flows(sb, &t, true);
	}
	sb->ports_ip = 0;
	sb->ports_ip6 = (struct in6_addr){0};
}

int sandbox_ports_apply(struct sandbox *sb, struct err *err)
{
	struct endpoint *gw = sandbox_gateway(sb), *gw6 = sandbox_gateway6(sb);
	_cleanup_free_ struct fw_port *ports = NULL;
	struct in6_addr ip6 =
		gw6 && gw6->up && !gw6->network->driver->direct ? gw6->ip6 : (struct in6_addr){0};
	uint32_t ip = gw && gw->up && !gw->network->driver->direct ? gw->ip : 0;
	struct targets t = targets_of(ip, &ip6);
	size_t n;
	int rc;

	if (!sb->n_published || (ip == sb->ports_ip && inaddr_equal(&ip6, &sb->ports_ip6)))
		return 0;
	sandbox_ports_withdraw(sb);
	n = fw_ports(sb, &t, &ports);
	rc = n ? firewall_ports_add(sb->nets->fw, ports, n, err) : 0;
	if (rc)
		return rc;
	sb->ports_ip = ip;
	sb->ports_ip6 = ip6;
	start_proxies(sb, &t);
	forget_flows(sb, &t, false);
	return 0;
}

void sandbox_ports_release(struct sandbox *sb)
{
	end_proxies(sb);
	for (size_t i = 0; i < sb->n_published; i++)
		if (sb->published[i].fd >= 0)
			close(sb->published[i].fd);
	free(sb->published);
	sb->published = NULL;
	sb->n_published = 0;
}

json_t *sandbox_ports_json(const struct sandbox *sb)
{
	json_t *out = sb->exposed ? json_copy(sb->exposed) : json_object();

	for (size_t i = 0; i < sb->n_published; i++) {
		const struct published *p = &sb->published[i];
		char key[16], host[INET6_ADDRSTRLEN], port[8];
		json_t *list;

		snprintf(key, sizeof(key), "%u/%s", p->port, proto_name(p->proto));
		snprintf(port, sizeof(port), "%u", p->host_port);
		inaddr_format(&p->host_addr, host);
		list = json_object_get(out, key);
		if (!json_is_array(list)) {
			list = json_array();
			json_object_set_new(out, key, list);
		}
		json_array_append_new(list,
				      json_pack("{s:s, s:s}", "HostIp", host, "HostPort", port));
	}
	return out;
}

json_t *sandbox_ports_save(const struct sandbox *sb)
{
	json_t *a = json_array();

	for (size_t i = 0; i < sb->n_published; i++) {
		const struct published *p = &sb->published[i];
		char host[INET6_ADDRSTRLEN];

		inaddr_format(&p->host_addr, host);
		json_array_append_new(a, json_pack("{s:s, s:i, s:i, s:s}", "proto",
						   proto_name(p->proto), "port", p->port,
						   "host_port", p->host_port, "host_addr", host));
	}
	return a;
}

void sandbox_ports_restore(struct sandbox *sb, json_t *saved)
{
	json_t *v;
	size_t i;

	json_array_foreach (saved, i, v) {
		json_int_t port = json_integer_value(json_object_get(v, "port")),
			   host_port = json_integer_value(json_object_get(v, "host_port"));
		const char *host = json_string_value(json_object_get(v, "host_addr"));
		uint8_t proto = proto_number(json_string_value(json_object_get(v, "proto")));
		struct published p = {
			.proto = proto, .port = port, .host_port = host_port, .fd = -1};
		struct err err = ERR_INIT;

		if (!proto || port <= 0 || port > 65535 || host_port <= 0 || host_port > 65535 ||
		    !host || inaddr_parse(host, &p.host_addr))
			continue;
		/* the port works without the reservation, too */
		if (ports_reserve(sb->nets->ports, proto, &p.host_addr, 1, host_port, host_port,
				  &p.fd, &p.host_port, &err))
			log_warn("a published port of %s is not reserved any more: %s", sb->name,
				 err.msg);
		sb->published = xrealloc(sb->published, (sb->n_published + 1) * sizeof(p));
		sb->published[sb->n_published++] = p;
	}
}
