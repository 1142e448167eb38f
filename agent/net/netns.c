// SPDX-License-Identifier: Apache-2.0
#include "net/netns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "disk/file.h"
#include "net/net_impl.h"

enum { INGRESS_TABLE = 100, MAIN_TABLE = 254 };

void netns_remove(const char *path)
{
	umount2(path, MNT_DETACH);
	unlink(path);
}

static void go_home(int home)
{
	if (netns_enter(home))
		abort(); /* a thread that is lost in another namespace may not go on */
}

int netns_dns_sockets(int netns_fd, int home, struct dns_sockets *ret, struct err *err)
{
	int rc = netns_enter(netns_fd);

	if (rc)
		return err_errno(err, rc, "cannot enter a network namespace");
	rc = dns_sockets_open(ret, err);
	go_home(home);
	return rc;
}

/* The thread is in the new namespace afterwards. */
static int create(const char *path, struct err *err)
{
	int fd;

	netns_remove(path); /* of a run that was cut short */
	fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0444);

	if (fd < 0)
		return err_errno(err, -errno, "cannot create %s", path);
	close(fd);
	if (unshare(CLONE_NEWNET))
		return err_errno(err, -errno, "cannot make a network namespace");
	if (mount("/proc/thread-self/ns/net", path, NULL, MS_BIND, NULL))
		return err_errno(err, -errno, "cannot keep a network namespace at %s", path);
	/* no link-local addresses and their chatter on networks without IPv6 */
	sysctl_set("1", "ipv6/conf/default/disable_ipv6");
	/* as dockerd has it: users of a container may use any port, and ping */
	sysctl_set("0", "ipv4/ip_unprivileged_port_start");
	sysctl_set("0 2147483647", "ipv4/ping_group_range");
	return 0;
}

static int ingress_routes(struct rt *in, const struct netns_link *l, int index)
{
	struct in_addr self = {htonl(l->ip)};
	struct rt_route route = {.gateway = {htonl(l->gateway)},
				 .src = self,
				 .index = index,
				 .table = INGRESS_TABLE};
	struct rt_rule from = {.pref = 100, .from = self, .table = INGRESS_TABLE},
		       rest = {.pref = 101, .table = MAIN_TABLE, .no_default = true};
	int rc = rt_route_add(in, &route);

	if (!rc)
		rc = rt_rule_add(in, &from);
	if (!rc)
		rc = rt_rule_add(in, &rest);
	for (size_t i = 0; !rc && i < l->n_udp_ports; i++) {
		struct rt_rule udp = {.pref = 102,
				      .table = INGRESS_TABLE,
				      .proto = IPPROTO_UDP,
				      .sport = l->udp_ports[i]};

		rc = rt_rule_add(in, &udp);
	}
	return rc;
}

/* Of the namespace that the thread is in. */
static int add_ip6(struct rt *in, const struct netns_link *l, int index)
{
	sysctl_set("0", "ipv6/conf/%s/disable_ipv6", l->if_name);
	sysctl_set("0", "ipv6/conf/%s/accept_dad", l->if_name);
	return rt_addr6_add(in, index, &l->ip6, l->prefix6);
}

/* One that the node has no end of. */
static int make_sublink(struct rt *out, struct rt *in, int netns, struct netns_link *l,
			struct err *err)
{
	static const uint8_t none[6];
	struct rt_sublink sub = {.kind = l->kind,
				 .name = l->host_if,
				 .parent = l->parent,
				 .netns = netns,
				 .mac = memcmp(l->mac, none, 6) ? l->mac : NULL,
				 .mtu = l->mtu,
				 .mode = l->mode,
				 .flag = l->flag};
	struct rt_link link;
	int rc = rt_sublink_add(out, &sub);

	if (rc == -EBUSY)
		return err_errno(err, rc,
				 "failed to create the %s port (a parent link carries either "
				 "macvlan or ipvlan networks)",
				 l->kind);
	if (rc)
		return rt_kind_err(err, rc, l->kind, "failed to create the %s port", l->kind);
	/* the kernel wants a name that the node has not, either */
	rc = rt_link_get(in, l->host_if, &link);
	if (!rc)
		rc = rt_link_rename(in, link.index, l->if_name);
	if (rc) {
		rt_link_del(in, l->host_if);
		return err_errno(err, rc, "cannot make the link %s", l->if_name);
	}
	rc = rt_addr_add(in, link.index, (struct in_addr){htonl(l->ip)}, l->prefix);
	if (!rc && !IN6_IS_ADDR_UNSPECIFIED(&l->ip6))
		rc = add_ip6(in, l, link.index);
	if (!rc)
		rc = rt_link_up(in, link.index);
	/* ready to send when this returns */
	if (!rc)
		rc = rt_link_get(in, l->if_name, &link);
	if (rc)
		rt_link_del(in, l->if_name);
	return rc ? err_errno(err, rc, "cannot set up the link %s", l->if_name) : 0;
}

static int make_link(struct rt *out, struct rt *in, int netns, struct netns_link *l,
		     struct err *err)
{
	struct rt_veth v = {.name = l->host_if,
			    .master = l->bridge,
			    .peer_netns = netns,
			    .peer_name = l->if_name,
			    .mtu = l->mtu};
	struct rt_link host, peer;
	int rc;

	memcpy(v.peer_mac, l->mac, 6);
	rc = rt_veth_add(out, &v);
	if (!rc)
		rc = rt_link_get(out, l->host_if, &host);
	if (!rc)
		rc = rt_link_get(in, l->if_name, &peer);
	if (rc)
		return err_errno(err, rc, "cannot make the link %s", l->if_name);
	l->host_index = host.index;
	if (l->bridge)
		rc = rt_port_set(out, host.index, l->isolated, true);
	if (!rc)
		rc = rt_addr_add(in, peer.index, (struct in_addr){htonl(l->ip)}, l->prefix);
	if (!rc && !inaddr_is_zero(&l->ip6))
		rc = add_ip6(in, l, peer.index);
	if (!rc)
		rc = rt_link_up(in, peer.index);
	rt_link_no_ipv6(out, host.index); /* which the kernel may lack altogether */
	if (!rc)
		rc = rt_link_up(out, host.index);
	/* ready to send when this returns */
	if (!rc)
		rc = rt_link_get(out, l->host_if, &host);
	if (!rc)
		rc = rt_link_get(in, l->if_name, &peer);
	if (!rc && l->ingress)
		rc = ingress_routes(in, l, peer.index);
	return rc ? err_errno(err, rc, "cannot set up the link %s", l->if_name) : 0;
}

static int set_default(struct rt *in, const struct netns_job *job, struct err *err)
{
	struct rt_route none = {0}, route = {.gateway = {htonl(job->gateway)}};
	struct rt_link link;
	int rc = rt_route_del(in, &none);

	if (!rc && *job->way_out) {
		rc = rt_link_get(in, job->way_out, &link);
		route.index = link.index;
	}
	if (!rc && (job->gateway || *job->way_out))
		rc = rt_route_add(in, &route);
	if (!rc)
		rc = rt_default6_set(in, &job->gateway6);
	return rc ? err_errno(err, rc, "cannot set the default route") : 0;
}

/* With the thread in the namespace; out is a socket of the node's. */
static int inside(struct netns_job *job, struct rt *out)
{
	_cleanup_close_ int self = netns_current();
	struct rt *in = NULL;
	int rc = self < 0 ? self : rt_open(-1, &in, &job->err);

	if (!rc && job->create) {
		rc = rt_link_up(in, 1);
		if (rc)
			err_errno(&job->err, rc, "cannot set up the loopback");
	}
	for (size_t i = 0; !rc && i < job->n_links; i++)
		rc = job->links[i].kind ? make_sublink(out, in, self, &job->links[i], &job->err)
					: make_link(out, in, self, &job->links[i], &job->err);
	if (!rc && job->set_default)
		rc = set_default(in, job, &job->err);
	if (!rc && job->dns)
		rc = dns_sockets_open(&job->dns_sockets, &job->err);
	rt_close(in);
	return rc;
}

static int enter(struct netns_job *job)
{
	_cleanup_close_ int fd = -1;
	int rc;

	if (job->create)
		return create(job->path, &job->err);
	fd = open(job->path, O_RDONLY | O_CLOEXEC);
	rc = fd < 0 ? -errno : netns_enter(fd);
	return rc ? err_errno(&job->err, rc, "cannot enter the network namespace %s", job->path)
		  : 0;
}

static int write_file(const struct netns_file *f, struct err *err)
{
	/* in place: a running container has the file mounted */
	_cleanup_close_ int fd = open(f->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	size_t size = strlen(f->text);

	if (fd < 0 || fchmod(fd, 0644) || write(fd, f->text, size) != (ssize_t)size)
		return err_errno(err, -errno, "cannot write %s", f->path);
	return 0;
}

/* A link that the namespace alone has. The namespace may live on for a while without its name. */
static void drop_inside(const struct netns_job *job, const char *name)
{
	_cleanup_close_ int fd = open(job->path, O_RDONLY | O_CLOEXEC);
	struct rt *in;

	if (fd < 0 || rt_open(fd, &in, NULL))
		return;
	rt_link_del(in, name);
	rt_close(in);
}

static int kernel(struct netns_job *job, struct rt *out)
{
	int rc = 0;

	for (size_t i = 0; i < job->n_drop; i++)
		if (job->drop[i].inside)
			drop_inside(job, job->drop[i].name);
		else
			rt_link_del(out, job->drop[i].name);
	if (job->remove) {
		netns_remove(job->path);
		return 0;
	}
	if (!job->create && !job->n_links && !job->set_default && !job->dns)
		return 0;
	rc = enter(job);
	if (!rc)
		rc = inside(job, out);
	go_home(job->home);
	return rc;
}

static void undo(struct netns_job *job, struct rt *out)
{
	for (size_t i = 0; out && i < job->n_links; i++)
		if (job->links[i].kind)
			drop_inside(job, job->links[i].if_name);
		else
			rt_link_del(out, job->links[i].host_if);
	dns_sockets_close(&job->dns_sockets);
	if (job->create)
		netns_remove(job->path);
}

void netns_run(struct netns_job *job)
{
	struct rt *out = NULL;

	job->rc = 0;
	for (size_t i = 0; !job->rc && i < job->n_files; i++)
		job->rc = write_file(&job->files[i], &job->err);
	if (!job->rc && job->path) {
		job->rc = rt_open(-1, &out, &job->err);
		if (!job->rc)
			job->rc = kernel(job, out);
	}
	if (job->rc)
		undo(job, out);
	rt_close(out);
}

struct netns_job *netns_job_new(const char *path, int home)
{
	struct netns_job *job = xcalloc(1, sizeof(*job));

	job->path = xstrdup(path);
	job->home = home;
	job->dns_sockets = (struct dns_sockets)DNS_SOCKETS_INIT;
	return job;
}

void netns_job_free(struct netns_job *job)
{
	if (!job)
		return;
	for (size_t i = 0; i < job->n_files; i++) {
		free(job->files[i].path);
		free(job->files[i].text);
	}
	dns_sockets_close(&job->dns_sockets);
	free(job->files);
	free(job->links);
	free(job->drop);
	free(job->path);
	free(job);
}
