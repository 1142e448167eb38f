// SPDX-License-Identifier: Apache-2.0
#include "net/parent.h"

#include <errno.h>
#include <stdio.h>

#include "core/log.h"
#include "net/net_impl.h"

/* dockerd answers 500 where a parent cannot be had. */
enum { NO_PARENT = -ENXIO };

int parent_parse(struct network *n, const char *prefix, struct err *err)
{
	const char *name = network_option(n, "parent");

	if (streq(name, "lo"))
		return err_set(err, NO_PARENT, "loopback interface is not a valid %s parent link",
			       n->driver->name);
	if (strlen(name) >= IF_NAMESIZE || strpbrk(name, "/ "))
		return err_set(err, NO_PARENT,
			       "-o parent interface was not found on the host: \"%s\" is not the "
			       "name of a link",
			       name);
	n->parent.dummy = !*name;
	if (*name)
		snprintf(n->parent.name, sizeof(n->parent.name), "%s", name);
	else
		snprintf(n->parent.name, sizeof(n->parent.name), "%s%.12s", prefix, n->id);
	return 0;
}

int parent_vlan(const char *name, char ret_link[IF_NAMESIZE], unsigned int *ret_id, struct err *err)
{
	const char *dot = strchr(name, '.');
	uint64_t id;

	if (!dot)
		return err_set(err, NO_PARENT,
			       "-o parent interface was not found on the host: %s (invalid "
			       "subinterface vlan name %s, example formatting is eth0.10)",
			       name, name);
	if (strchr(dot + 1, '.') || dot == name || dot - name >= IF_NAMESIZE)
		return err_set(err, NO_PARENT,
			       "required interface name format is: name.vlan_id, ex. eth0.10 for "
			       "vlan 10, instead received %s",
			       name);
	if (parse_u64(dot + 1, 0, UINT32_MAX, &id))
		return err_set(err, NO_PARENT,
			       "unable to parse a valid vlan id from: %s (ex. eth0.10 for vlan 10)",
			       dot + 1);
	if (id < 1 || id > 4094)
		return err_set(err, NO_PARENT, "vlan id must be between 1-4094, received: %u",
			       (unsigned int)id);
	snprintf(ret_link, IF_NAMESIZE, "%.*s", (int)(dot - name), name);
	*ret_id = id;
	return 0;
}

struct network *parent_next_user(const struct network *n, struct network *after)
{
	while ((after = nets_next(n->nets, after)))
		if (after != n && streq(after->parent.name, n->parent.name))
			break;
	return after;
}

static int make_vlan(struct network *n, struct err *err)
{
	struct rt_sublink l = {.kind = "vlan", .name = n->parent.name, .netns = -1};
	struct rt_link link;
	char name[IF_NAMESIZE];
	int rc = parent_vlan(n->parent.name, name, &l.vlan, err);

	if (rc)
		return rc;
	if (rt_link_get(n->nets->rt, name, &link))
		return err_set(err, NO_PARENT, "-o parent interface was not found on the host: %s",
			       name);
	l.parent = link.index;
	rc = rt_sublink_add(n->nets->rt, &l);
	return rc ? rt_kind_err(err, rc, l.kind, "failed to create %s vlan link", l.name) : 0;
}

static int make(struct network *n, struct rt_link *ret, struct err *err)
{
	struct parent *p = &n->parent;
	int rc;

	if (p->dummy) {
		struct rt_sublink l = {.kind = "dummy", .name = p->name, .netns = -1};

		rc = rt_sublink_add(n->nets->rt, &l);
		if (rc)
			rt_kind_err(err, rc, l.kind, "cannot make the parent %s of the network %s",
				    p->name, n->name);
	} else {
		rc = make_vlan(n, err);
	}
	if (rc)
		return rc;
	p->made = true;
	rc = rt_link_get(n->nets->rt, p->name, ret);
	if (!rc)
		rc = rt_link_up(n->nets->rt, ret->index);
	return rc ? err_errno(err, rc, "failed to enable %s the %s parent link", p->name,
			      n->driver->name)
		  : 0;
}

int parent_index(struct network *n, int *ret, struct err *err)
{
	struct rt_link link;
	struct network *other;
	bool was_up = n->parent.up, was_made = n->parent.made;
	int rc = rt_link_get(n->nets->rt, n->parent.name, &link);

	if (rc == -ENODEV) {
		rc = make(n, &link, err);
	} else if (rc) {
		err_errno(err, rc, "cannot look up the parent %s of the network %s", n->parent.name,
			  n->name);
	} else {
		for (other = NULL; (other = parent_next_user(n, other));)
			n->parent.made |= other->parent.made;
	}
	if (rc)
		return rc;
	n->parent.up = true;
	/* it was somebody else's and is gone; a new network is stored by its maker */
	if (was_up && n->parent.made != was_made && network_save(n, err))
		return -EIO;
	*ret = link.index;
	return 0;
}

int parent_up(struct network *n, struct err *err)
{
	int index;

	return parent_index(n, &index, err);
}

void parent_down(struct network *n)
{
	struct network *other = NULL;
	int rc;

	n->parent.up = false;
	if (!n->parent.made)
		return;
	while ((other = parent_next_user(n, other)))
		if (other->parent.up)
			return;
	rc = rt_link_del(n->nets->rt, n->parent.name);
	if (rc)
		log_warn("the link %s, made for the network %s, is not removed: %s", n->parent.name,
			 n->name, strerror(-rc));
}

void parent_save(const struct network *n, json_t *file)
{
	json_object_set_new(file, "ParentMade", json_boolean(n->parent.made));
}

void parent_load(struct network *n, json_t *file)
{
	n->parent.made = json_is_true(json_object_get(file, "ParentMade"));
}
