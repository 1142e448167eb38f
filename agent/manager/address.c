// SPDX-License-Identifier: Apache-2.0
#include "manager/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

int address_split(const char *s, char host[ADDRESS_SIZE], uint16_t *ret_port)
{
	const char *colon = strrchr(s, ':'), *from = s;
	uint64_t port;
	size_t len;

	if (!colon || parse_u64(colon + 1, 0, 65535, &port))
		return -EINVAL;
	len = colon - s;
	if (*s == '[') {
		if (len < 2 || colon[-1] != ']')
			return -EINVAL;
		from++;
		len -= 2;
	} else if (memchr(s, ':', len)) {
		return -EINVAL; /* an IPv6 address without brackets */
	}
	if (len >= ADDRESS_SIZE)
		return -EINVAL;
	memcpy(host, from, len);
	host[len] = '\0';
	*ret_port = port;
	return 0;
}

static void join(char dst[ADDRESS_SIZE], const char *host, uint16_t port)
{
	if (strchr(host, ':'))
		snprintf(dst, ADDRESS_SIZE, "[%.50s]:%u", host, port);
	else
		snprintf(dst, ADDRESS_SIZE, "%.50s:%u", host, port);
}

/* Host and port of a text with an optional port. */
static int split_optional(const char *s, uint16_t dflt, char host[ADDRESS_SIZE], uint16_t *ret_port)
{
	struct in6_addr a6;
	size_t len = strlen(s);

	*ret_port = dflt;
	if (!address_split(s, host, ret_port)) {
		if (!*ret_port)
			*ret_port = dflt;
		return 0;
	}
	if (len > 2 && *s == '[' && s[len - 1] == ']') {
		s++;
		len -= 2;
	} else if (strchr(s, ':') && inet_pton(AF_INET6, s, &a6) != 1) {
		return -EINVAL;
	}
	if (!len || len >= ADDRESS_SIZE)
		return -EINVAL;
	memcpy(host, s, len);
	host[len] = '\0';
	return 0;
}

int address_with_port(const char *s, uint16_t dflt, char ret[ADDRESS_SIZE], struct err *err)
{
	char host[ADDRESS_SIZE];
	uint16_t port;

	if (split_optional(s, dflt, host, &port))
		return err_set(err, -EINVAL, "%s is no address of the form host[:port]", s);
	join(ret, host, port);
	return 0;
}

static bool is_ip(const char *s, bool *ret_zero)
{
	uint8_t a[16] = {0}, zero[16] = {0};

	if (inet_pton(AF_INET, s, a) != 1 && inet_pton(AF_INET6, s, a) != 1)
		return false;
	*ret_zero = !memcmp(a, zero, sizeof(a));
	return true;
}

static bool is_usable(const struct ifaddrs *i)
{
	return i->ifa_addr && i->ifa_addr->sa_family == AF_INET && (i->ifa_flags & IFF_UP);
}

static void ip_of(const struct ifaddrs *i, char dst[ADDRESS_SIZE])
{
	inet_ntop(AF_INET, &((const struct sockaddr_in *)i->ifa_addr)->sin_addr, dst, ADDRESS_SIZE);
}

/* The one IPv4 address of an interface. -ENODEV when there is no such interface. */
static int of_interface(const char *name, char dst[ADDRESS_SIZE], struct err *err)
{
	struct ifaddrs *all, *i;
	char found[ADDRESS_SIZE] = "", ip[ADDRESS_SIZE];
	int rc = 0;

	if (!if_nametoindex(name))
		return -ENODEV;
	if (getifaddrs(&all))
		return err_errno(err, -errno, "cannot read the interfaces' addresses");
	for (i = all; i && !rc; i = i->ifa_next) {
		if (!is_usable(i) || !streq(i->ifa_name, name))
			continue;
		ip_of(i, ip);
		if (*found && !streq(found, ip))
			rc = err_set(err, -EINVAL,
				     "interface %s has more than one IPv4 address (%s and %s)",
				     name, found, ip);
		memcpy(found, ip, sizeof(found));
	}
	freeifaddrs(all);
	if (!rc && !*found)
		rc = err_set(err, -EINVAL, "interface %s has no usable IPv4 or IPv6 address", name);
	if (!rc)
		memcpy(dst, found, ADDRESS_SIZE);
	return rc;
}

/* Bridges and pairs that engines make are nobody's way to this node. */
static bool is_engines(const char *name)
{
	return starts_with(name, "docker") || starts_with(name, "br-") || starts_with(name, "veth");
}

static int of_system(char dst[ADDRESS_SIZE], struct err *err)
{
	char found[ADDRESS_SIZE] = "", found_on[IF_NAMESIZE] = "", ip[ADDRESS_SIZE];
	struct ifaddrs *all, *i;
	int rc = 0;

	if (getifaddrs(&all))
		return err_errno(err, -errno, "cannot read the interfaces' addresses");
	for (i = all; i && !rc; i = i->ifa_next) {
		if (!is_usable(i) || (i->ifa_flags & IFF_LOOPBACK) || is_engines(i->ifa_name))
			continue;
		ip_of(i, ip);
		if (!*found) {
			memcpy(found, ip, sizeof(found));
			snprintf(found_on, sizeof(found_on), "%s", i->ifa_name);
		} else if (streq(found_on, i->ifa_name)) {
			rc = err_set(err, -EINVAL,
				     "could not choose an IP address to advertise since this "
				     "system has multiple "
				     "addresses on interface %s (%s and %s) - specify one with "
				     "--advertise-addr",
				     found_on, found, ip);
		} else {
			rc = err_set(err, -EINVAL,
				     "could not choose an IP address to advertise since this "
				     "system has multiple "
				     "addresses on different interfaces (%s on %s and %s on %s) - "
				     "specify one with "
				     "--advertise-addr",
				     found, found_on, ip, i->ifa_name);
		}
	}
	freeifaddrs(all);
	if (!rc && !*found)
		rc = err_set(err, -EINVAL,
			     "could not find the system's IP address - specify one with "
			     "--advertise-addr");
	if (!rc)
		memcpy(dst, found, ADDRESS_SIZE);
	return rc;
}

/* An IP address as it is, an interface by its address. -EINVAL with the given sentence. */
static int resolve(const char *host, bool allow_zero, const char *sentence, char dst[ADDRESS_SIZE],
		   struct err *err)
{
	bool zero;
	int rc;

	if (is_ip(host, &zero)) {
		if (zero && !allow_zero)
			return err_set(err, -EINVAL, "%s", sentence);
		snprintf(dst, ADDRESS_SIZE, "%s", host);
		return 0;
	}
	rc = of_interface(host, dst, err);
	return rc == -ENODEV ? err_set(err, -EINVAL, "%s", sentence) : rc;
}

int swarm_addresses(const char *listen, const char *advertise, const char *data_path,
		    const char *fallback, struct swarm_addresses *ret, struct err *err)
{
	static const char bad_listen[] = "listen address must be an IP address or network "
					 "interface (with optional port number)";
	static const char bad_advertise[] = "advertise address must be a non-zero IP address or "
					    "network interface (with optional port number)";
	static const char bad_data[] = "data path address must be a non-zero IP address or network "
				       "interface (without a port number)";
	char host[ADDRESS_SIZE], listen_ip[ADDRESS_SIZE], ip[ADDRESS_SIZE];
	struct swarm_addresses a;
	uint16_t listen_port, port;
	bool any;
	int rc;

	if (str_empty(listen))
		listen = "0.0.0.0";
	if (split_optional(listen, SWARM_PORT, host, &listen_port))
		return err_set(err, -EINVAL, "%s", bad_listen);
	rc = resolve(host, true, bad_listen, listen_ip, err);
	if (rc)
		return rc;
	join(a.listen, listen_ip, listen_port);
	if (str_empty(advertise))
		advertise = fallback;
	port = listen_port;
	if (!str_empty(advertise)) {
		if (split_optional(advertise, listen_port, host, &port))
			return err_set(err, -EINVAL, "%s", bad_advertise);
		rc = resolve(host, false, bad_advertise, ip, err);
	} else if (is_ip(listen_ip, &any) && !any) {
		memcpy(ip, listen_ip, sizeof(ip));
	} else {
		rc = of_system(ip, err);
	}
	if (rc)
		return rc;
	join(a.advertise, ip, port);
	if (!str_empty(data_path)) {
		rc = resolve(data_path, false, bad_data, ip, err);
		if (rc)
			return rc;
	}
	memcpy(a.data_path, ip, sizeof(ip));
	*ret = a;
	return 0;
}

int address_listen(const char *addr, struct err *err)
{
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6};
	struct sockaddr_in a4 = {.sin_family = AF_INET};
	char host[ADDRESS_SIZE];
	uint16_t port;
	int fd, rc, on = 1;
	bool v4;

	if (address_split(addr, host, &port))
		return err_set(err, -EINVAL, "%s is no address to listen on", addr);
	v4 = inet_pton(AF_INET, host, &a4.sin_addr) == 1;
	if (!v4 && inet_pton(AF_INET6, host, &a6.sin6_addr) != 1)
		return err_set(err, -EINVAL, "%s is no address to listen on", addr);
	a4.sin_port = a6.sin6_port = htons(port);
	fd = socket(v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_errno(err, -errno, "cannot make a socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	rc = v4 ? bind(fd, (struct sockaddr *)&a4, sizeof(a4))
		: bind(fd, (struct sockaddr *)&a6, sizeof(a6));
	if (rc || listen(fd, SOMAXCONN)) {
		rc = err_errno(err, -errno, "failed to listen on remote API address %s", addr);
		close(fd);
		return rc;
	}
	return fd;
}
