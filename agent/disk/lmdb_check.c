// SPDX-License-Identifier: Apache-2.0
#include "disk/lmdb_check.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

enum {
	PAGE_HEADER = 16,
	META_SIZE = 136, /* struct MDB_meta */
	NODE_HEADER = 8,
	DEPTH_MAX = 32, /* CURSOR_STACK */
};
enum { P_BRANCH = 1, P_LEAF = 2, P_OVERFLOW = 4, P_META = 8, P_KIND = 0x6f };
enum { F_BIGDATA = 1 };
#define META_MAGIC 0xBEEFC0DEu
#define NO_PAGE UINT64_MAX

/* A page begins with: its number, two bytes unused, flags, and where free room begins and ends. */
struct page {
	uint64_t number;
	uint16_t unused, flags, lower, upper;
	uint8_t data[];
};

struct tree {
	uint32_t page_size; /* of the free list's tree: the environment's */
	uint16_t flags, depth;
	uint64_t branch_pages, leaf_pages, overflow_pages, entries, root;
};

struct meta {
	uint32_t magic, version;
	uint64_t address, map_size;
	struct tree free, main;
	uint64_t last_page, txn;
};
static_assert(sizeof(struct meta) == META_SIZE, "as LMDB writes it");

struct check {
	const char *path;
	int fd;
	uint64_t file_size, last_page;
	size_t page_size;
	uint8_t *seen; /* a bit a page */
	bool free_list;
	struct err *err;
};

static int bad(struct check *c, uint64_t page, const char *what)
{
	return err_set(c->err, -EBADMSG,
		       "%s is damaged at page %llu (%s); restore the folder from a backup, or "
		       "remove it and join again",
		       c->path, (unsigned long long)page, what);
}

static int read_at(struct check *c, uint64_t number, void *ret, size_t size)
{
	uint64_t at = number * c->page_size;
	ssize_t n;

	if (at > c->file_size || size > c->file_size - at)
		return bad(c, number, "the file is cut short");
	n = pread(c->fd, ret, size, at);
	if (n < 0)
		return err_errno(c->err, -errno, "cannot read %s", c->path);
	return (size_t)n == size ? 0 : bad(c, number, "the file is cut short");
}

/* Note n pages from number on as used; a page with two owners is none. */
static int claim(struct check *c, uint64_t number, uint64_t n)
{
	if (number < 2 || number > c->last_page || n > c->last_page - number + 1)
		return bad(c, number, "it lies outside");
	for (; n; n--, number++) {
		if (c->seen[number / 8] & (1 << (number % 8)))
			return bad(c, number, "it is used twice");
		c->seen[number / 8] |= 1 << (number % 8);
	}
	return 0;
}

/* A record of the free list: how many pages, and which, in descending order. */
static int check_free_record(struct check *c, uint64_t page, const uint8_t *data, size_t size)
{
	uint64_t n, number, last = NO_PAGE;

	if (size < 8 || size % 8)
		return bad(c, page, "a record of free pages");
	memcpy(&n, data, 8);
	if (n > size / 8 - 1)
		return bad(c, page, "a record of free pages");
	for (uint64_t i = 1; i <= n; i++) {
		memcpy(&number, data + 8 * i, 8);
		if (number < 2 || number > c->last_page || number >= last)
			return bad(c, page, "a free page");
		last = number;
	}
	return 0;
}

static int check_overflow(struct check *c, uint64_t number, size_t size)
{
	uint64_t n = (PAGE_HEADER - 1 + (uint64_t)size) / c->page_size + 1;
	_cleanup_free_ uint8_t *whole = NULL;
	struct page head;
	uint32_t pages;
	int rc = claim(c, number, n);

	if (rc < 0)
		return rc;
	rc = read_at(c, number, &head, sizeof(head));
	if (rc < 0)
		return rc;
	memcpy(&pages, &head.lower, sizeof(pages));
	if (head.number != number || (head.flags & P_KIND) != P_OVERFLOW || pages != n)
		return bad(c, number, "not the long record it should be");
	/* the last byte is there, then all are */
	if (number * c->page_size + PAGE_HEADER + size > c->file_size)
		return bad(c, number, "the file is cut short");
	if (!c->free_list)
		return 0;
	whole = xmalloc(PAGE_HEADER + size);
	rc = read_at(c, number, whole, PAGE_HEADER + size);
	return rc < 0 ? rc : check_free_record(c, number, whole + PAGE_HEADER, size);
}

static int check_page(struct check *c, uint64_t number, unsigned int depth);

static int check_leaf_node(struct check *c, uint64_t number, const uint16_t *node,
			   const uint8_t *data, size_t room)
{
	size_t size = node[0] | (size_t)node[1] << 16, key = node[3];
	uint64_t overflow;

	if (c->free_list ? key != 8 : !key)
		return bad(c, number, "a key");
	if (node[2] & ~F_BIGDATA)
		return bad(c, number, "a node of another kind");
	if (node[2] & F_BIGDATA) {
		if (key + 8 > room)
			return bad(c, number, "a node");
		memcpy(&overflow, data + key, 8);
		return check_overflow(c, overflow, size);
	}
	if (size > room || key + size > room)
		return bad(c, number, "a node");
	return c->free_list ? check_free_record(c, number, data + key, size) : 0;
}

static int check_nodes(struct check *c, const struct page *p, bool branch, unsigned int depth)
{
	const uint8_t *bytes = (const uint8_t *)p;
	size_t n = (p->lower - PAGE_HEADER) / 2;
	int rc = 0;

	for (size_t i = 0; i < n && !rc; i++) {
		uint16_t at, node[4];
		size_t room;

		memcpy(&at, p->data + 2 * i, 2);
		if (at < p->upper || at + (size_t)NODE_HEADER > c->page_size || at % 2)
			return bad(c, p->number, "a node's place");
		memcpy(node, bytes + at, sizeof(node));
		room = c->page_size - at - NODE_HEADER;
		if (node[3] > room)
			return bad(c, p->number, "a key");
		if (branch)
			rc = check_page(c,
					node[0] | (uint64_t)node[1] << 16 | (uint64_t)node[2] << 32,
					depth - 1);
		else
			rc = check_leaf_node(c, p->number, node, bytes + at + NODE_HEADER, room);
	}
	return rc;
}

static int check_page(struct check *c, uint64_t number, unsigned int depth)
{
	_cleanup_free_ struct page *p = NULL;
	bool branch = depth > 1;
	int rc = claim(c, number, 1);

	if (rc < 0)
		return rc;
	p = xmalloc(c->page_size);
	rc = read_at(c, number, p, c->page_size);
	if (rc < 0)
		return rc;
	if (p->number != number || (p->flags & P_KIND) != (branch ? P_BRANCH : P_LEAF))
		return bad(c, number, "not the page it should be");
	if (p->lower < PAGE_HEADER || p->lower % 2 || p->lower > p->upper ||
	    p->upper > c->page_size ||
	    (branch ? p->lower < PAGE_HEADER + 4 : p->lower == PAGE_HEADER))
		return bad(c, number, "its bounds");
	return check_nodes(c, p, branch, depth);
}

static int check_tree(struct check *c, const struct tree *t, bool free_list)
{
	/* the free list's keys are numbers, and the environment's flags stand there as well; no tree of
	 * ours has duplicates */
	if ((free_list ? (t->flags & 0xff) != 0x08 : t->flags & 0x7fff) || t->depth > DEPTH_MAX ||
	    (t->root == NO_PAGE) != !t->depth)
		return bad(c, 0, "a tree's root");
	c->free_list = free_list;
	return t->depth ? check_page(c, t->root, t->depth) : 0;
}

static int check_file(struct check *c)
{
	uint8_t head[PAGE_HEADER + META_SIZE];
	struct meta metas[2], *m;
	struct page *p = (struct page *)head;
	int rc;

	/* the first meta page says how large pages are */
	c->page_size = 1;
	for (int i = 0; i < 2; i++) {
		rc = read_at(c, i, head, sizeof(head));
		if (rc < 0)
			return rc;
		memcpy(&metas[i], head + PAGE_HEADER, META_SIZE);
		if ((p->flags & P_META) == 0 || metas[i].magic != META_MAGIC ||
		    metas[i].version != 1)
			return bad(c, i, "not the page it should be");
		if (i)
			break;
		c->page_size = metas[0].free.page_size;
		if (c->page_size < 512 || c->page_size > 32768 || c->page_size & (c->page_size - 1))
			return bad(c, 0, "the size of pages");
	}
	m = &metas[metas[1].txn > metas[0].txn];
	/* LMDB finds the newest by its number, not by looking */
	if (m->txn % 2 != (uint64_t)(m - metas))
		return bad(c, m - metas, "its number");
	if (m->free.page_size != c->page_size || m->last_page < 1 ||
	    m->last_page > m->map_size / c->page_size)
		return bad(c, m - metas, "the size of the whole");
	/* pages at the end that nothing uses any more may never have been written */
	if (m->last_page / 2 > c->file_size / c->page_size + (1 << 20))
		return bad(c, m - metas, "the file is cut short");
	c->last_page = m->last_page;
	c->seen = xcalloc(1, m->last_page / 8 + 1);
	rc = check_tree(c, &m->free, true);
	return rc < 0 ? rc : check_tree(c, &m->main, false);
}

int lmdb_check(const char *path, struct err *err)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct check c = {.path = path, .fd = fd, .err = err};
	struct stat st;
	int rc;

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(err, -errno, "cannot open %s", path);
	if (!st.st_size)
		return 0;
	c.file_size = st.st_size;
	rc = check_file(&c);
	free(c.seen);
	return rc;
}
