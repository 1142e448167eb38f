// SPDX-License-Identifier: Apache-2.0
/* Published ports of a sandbox: reserved by sockets, sent on by the firewall. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#include "core/log.h"
#include "net/conntrack.h"
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

static int reserve(struct sandbox *sb, uint16_t port, uint8_t proto, struct in_addr addr,
		   uint16_t first, uint16_t last, struct err *err)
{
	struct endpoint *gw = sandbox_gateway(sb);
	struct published p = {.proto = proto, .port = port, .host_addr = addr, .fd = -1};
	int rc = ports_reserve(sb->nets->ports, proto, addr, first, last, &p.fd, &p.host_port, err);

	if (rc)
		return err_prefix(err,
				  "failed to set up container networking: driver failed "
				  "programming external connectivity "
				  "on endpoint %s (%s)",
				  sb->name, gw ? gw->id : sb->id);
	sb->published = xrealloc(sb->published, (sb->n_published + 1) * sizeof(p));
	sb->published[sb->n_published++] = p;
	return 0;
}

static int publish_one(struct sandbox *sb, const char *key, json_t *binding, struct err *err)
{
	const char *ip = json_string_value(json_object_get(binding, "HostIp")),
		   *port_text = json_string_value(json_object_get(binding, "HostPort"));
	struct endpoint *gw = sandbox_gateway(sb);
	struct in_addr addr = {0};
	uint16_t port, first, last;
	uint8_t proto;
	int rc = parse_key(key, &port, &proto, err);

	if (!rc)
		rc = parse_range(port_text ? port_text : "", &first, &last, err);
	if (rc)
		return rc;
	if (gw)
		addr = gw->network->host_addr;
	if (!str_empty(ip) && strcmp(ip, "::") && inet_pton(AF_INET, ip, &addr) != 1)
		return err_set(
			err, -EOPNOTSUPP,
			"cannot publish port %s on \"%s\": only IPv4 addresses are supported", key,
			ip);
	return reserve(sb, port, proto, addr, first, last, err);
}

static void add_exposed(struct sandbox *sb, uint16_t port, uint8_t proto)
{
	char text[16];

	snprintf(text, sizeof(text), "%u/%s", port, proto_name(proto));
	if (!sb->exposed)
		sb->exposed = json_object();
	json_object_set_new(sb->exposed, text, json_null());
}

int sandbox_publish(struct sandbox *sb, json_t *bindings, json_t *exposed, bool publish_all,
		    struct err *err)
{
	const char *key;
	json_t *list, *v;
	size_t i;
	int rc = 0;

	/* the node's own namespace needs no way into it */
	if (sb->host || sb->join)
		return 0;
	json_object_foreach (exposed, key, v) {
		uint16_t port;
		uint8_t proto;

		rc = parse_key(key, &port, &proto, err);
		if (rc)
			return rc;
		add_exposed(sb, port, proto);
		if (publish_all && !json_array_size(json_object_get(bindings, key)))
			rc = reserve(sb, port, proto, (struct in_addr){0}, 0, 0, err);
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

static struct fw_port *fw_ports(const struct sandbox *sb, uint32_t ip)
{
	struct fw_port *ports = xcalloc(sb->n_published, sizeof(*ports));

	for (size_t i = 0; i < sb->n_published; i++) {
		const struct published *p = &sb->published[i];

		ports[i] = (struct fw_port){
			p->proto, p->host_addr, {htonl(ip)}, p->host_port, p->port};
	}
	return ports;
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
static void forget_flows(const struct sandbox *sb, uint32_t ip, bool gone)
{
	struct forget *f = xcalloc(1, sizeof(*f) + sb->n_published * sizeof(f->ports[0]));

	for (size_t i = 0; i < sb->n_published; i++) {
		const struct published *p = &sb->published[i];

		if (p->proto == IPPROTO_UDP)
			f->ports[f->n++] =
				(struct conntrack_port){p->host_port, {htonl(ip)}, p->port, gone};
	}
	if (f->n)
		loop_work(sb->nets->opt.loop, forget_work, NULL, f);
	else
		free(f);
}

void sandbox_ports_withdraw(struct sandbox *sb)
{
	_cleanup_free_ struct fw_port *ports = NULL;

	if (!sb->ports_ip)
		return;
	ports = fw_ports(sb, sb->ports_ip);
	firewall_ports_del(sb->nets->fw, ports, sb->n_published);
	forget_flows(sb, sb->ports_ip, true);
	sb->ports_ip = 0;
}

int sandbox_ports_apply(struct sandbox *sb, struct err *err)
{
	struct endpoint *gw = sandbox_gateway(sb);
	_cleanup_free_ struct fw_port *ports = NULL;
	uint32_t ip = gw && gw->up ? gw->ip : 0;
	int rc;

	if (!sb->n_published || ip == sb->ports_ip)
		return 0;
	sandbox_ports_withdraw(sb);
	if (!ip)
		return 0;
	ports = fw_ports(sb, ip);
	rc = firewall_ports_add(sb->nets->fw, ports, sb->n_published, err);
	if (rc)
		return rc;
	sb->ports_ip = ip;
	forget_flows(sb, ip, false);
	return 0;
}

void sandbox_ports_release(struct sandbox *sb)
{
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
		char key[16], host[INET_ADDRSTRLEN], port[8];
		json_t *list;

		snprintf(key, sizeof(key), "%u/%s", p->port, proto_name(p->proto));
		snprintf(port, sizeof(port), "%u", p->host_port);
		inet_ntop(AF_INET, &p->host_addr, host, sizeof(host));
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
		char host[INET_ADDRSTRLEN];

		inet_ntop(AF_INET, &p->host_addr, host, sizeof(host));
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
		    !host || inet_pton(AF_INET, host, &p.host_addr) != 1)
			continue;
		/* the port works without the reservation, too */
		if (ports_reserve(sb->nets->ports, proto, p.host_addr, host_port, host_port, &p.fd,
				  &p.host_port, &err))
			log_warn("a published port of %s is not reserved any more: %s", sb->name,
				 err.msg);
		sb->published = xrealloc(sb->published, (sb->n_published + 1) * sizeof(p));
		sb->published[sb->n_published++] = p;
	}
}
