// SPDX-License-Identifier: Apache-2.0
#include <ctype.h>

#include "store/object.h"
#include "wire/pb.h"

#define KIND(Type, lower, plural, unique)                                                          \
	{                                                                                          \
#lower, &pb__##lower##__descriptor, offsetof(Type, id), offsetof(Type, meta),      \
			offsetof(Pb__StoreSnapshot, n_##plural),                                   \
			offsetof(Pb__StoreSnapshot, plural), unique                                \
	}

/* clang-format off */
const struct store_kind_info store_kinds[STORE_KINDS] = {
	[STORE_NODE] = KIND(Pb__Node, node, nodes, false),
	[STORE_SERVICE] = KIND(Pb__Service, service, services, true),
	[STORE_TASK] = KIND(Pb__Task, task, tasks, false),
	[STORE_NETWORK] = KIND(Pb__Network, network, networks, true),
	[STORE_CLUSTER] = KIND(Pb__Cluster, cluster, clusters, true),
	[STORE_SECRET] = KIND(Pb__Secret, secret, secrets, true),
	[STORE_RESOURCE] = KIND(Pb__Resource, resource, resources, true),
	[STORE_EXTENSION] = KIND(Pb__Extension, extension, extensions, true),
	[STORE_CONFIG] = KIND(Pb__Config, config, configs, true),
	[STORE_VOLUME] = KIND(Pb__Volume, volume, volumes, true),
};
/* clang-format on */

/* In front of each object's message, in one piece of memory with all it points at. */
struct blob {
	uint32_t refs;
	enum store_kind kind;
	uint64_t align;
};

static_assert(sizeof(struct blob) % 16 == 0, "messages behind it are aligned");

static struct blob *blob_of(const void *obj)
{
	return (struct blob *)obj - 1;
}

const char *store_kind_name(enum store_kind kind)
{
	return store_kinds[kind].name;
}

static enum store_kind kind_of_desc(const ProtobufCMessageDescriptor *desc)
{
	for (int i = 0; i < STORE_KINDS; i++)
		if (store_kinds[i].desc == desc)
			return i;
	assert(!"an object of the store");
	return STORE_KINDS;
}

enum store_kind store_kind_of(const void *obj)
{
	return kind_of_desc(((const ProtobufCMessage *)obj)->descriptor);
}

enum store_kind object_kind(const void *obj)
{
	return blob_of(obj)->kind;
}

const void *object_new(void *msg)
{
	struct blob *blob = xmalloc(sizeof(*blob) + pb_copy_size(msg));

	blob->refs = 1;
	blob->kind = store_kind_of(msg);
	pb_copy_to(msg, blob + 1);
	pb_free(msg);
	return blob + 1;
}

const void *store_ref(const void *obj)
{
	if (obj)
		blob_of(obj)->refs++;
	return obj;
}

void store_unref(const void *obj)
{
	if (obj && !--blob_of(obj)->refs)
		free(blob_of(obj));
}

const char *store_id(const void *obj)
{
	return *(char *const *)((const char *)obj + store_kinds[store_kind_of(obj)].id_offset);
}

const Pb__Meta *store_meta(const void *obj)
{
	return *(Pb__Meta *const *)((const char *)obj +
				    store_kinds[store_kind_of(obj)].meta_offset);
}

uint64_t store_version(const void *obj)
{
	const Pb__Meta *meta = store_meta(obj);

	return meta && meta->version ? meta->version->index : 0;
}

#define SPEC_ANNOTATIONS(Type, obj)                                                                \
	({                                                                                         \
		const Type *_o = (obj);                                                            \
		_o->spec ? _o->spec->annotations : NULL;                                           \
	})

const Pb__Annotations *store_annotations(const void *obj)
{
	switch (store_kind_of(obj)) {
	case STORE_NODE:
		return SPEC_ANNOTATIONS(Pb__Node, obj);
	case STORE_SERVICE:
		return SPEC_ANNOTATIONS(Pb__Service, obj);
	case STORE_TASK:
		return ((const Pb__Task *)obj)->annotations;
	case STORE_NETWORK:
		return SPEC_ANNOTATIONS(Pb__Network, obj);
	case STORE_CLUSTER:
		return SPEC_ANNOTATIONS(Pb__Cluster, obj);
	case STORE_SECRET:
		return SPEC_ANNOTATIONS(Pb__Secret, obj);
	case STORE_RESOURCE:
		return ((const Pb__Resource *)obj)->annotations;
	case STORE_EXTENSION:
		return ((const Pb__Extension *)obj)->annotations;
	case STORE_CONFIG:
		return SPEC_ANNOTATIONS(Pb__Config, obj);
	case STORE_VOLUME:
		return SPEC_ANNOTATIONS(Pb__Volume, obj);
	default:
		return NULL;
	}
}

const char *store_name(const void *obj)
{
	const Pb__Annotations *a = store_annotations(obj);

	return a ? a->name : "";
}

char *object_name_key(const void *obj)
{
	enum store_kind kind = store_kind_of(obj);
	const char *name = store_name(obj);
	char *key;

	if (!store_kinds[kind].unique_name || str_empty(name))
		return NULL;
	/* Resources are unique by name within what they are of. */
	key = kind == STORE_RESOURCE ? xasprintf("%s\n%s", ((const Pb__Resource *)obj)->kind, name)
				     : xstrdup(name);
	for (char *p = key; *p; p++)
		*p = tolower((unsigned char)*p);
	return key;
}
