/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A call about the swarm's objects: it reads this manager's store, and changes it by a method of
 * the service Control (manager/control.h), wherever the leader is. Used by the files of the swarm's
 * resources.
 */
#pragma once

#include "api/api.h"
#include "manager/swarm.h"
#include "store/store.h"
#include "wire/control.pb-c.h"
#include "wire/pb.h"

/*
 * Perform a method on the request, which is stolen, and reply with status. reply makes the body of
 * the method's reply; NULL: {"ID": …} of its object for 201, none otherwise.
 */
void store_call_run(struct api_call *call, const char *method, void *request, int status,
		    json_t *(*reply)(const void *reply));
/* The object that a reply of Get…, Create… or Update… holds; never NULL in store_call_run()'s reply. */
const void *store_call_object(const void *reply);
/* The object that the route's parameter names, or NULL after replying. */
const void *store_call_find(struct api_call *call, enum store_kind kind);
/* The store; NULL after replying why there is none. */
struct store *store_call_store(struct api_call *call);
/* api_body() of a call for the store. */
void store_call_body(struct api_call *call, void (*fn)(struct api_call *call, json_t *body));
/* The query's version; -EINVAL "invalid swarm object version '…'…". */
int store_call_version(struct api_call *call, Pb__Version **ret, struct err *err);
/*
 * A new Update…Request (desc) for the object that the route names, in the query's version, for the
 * caller to give it the spec; NULL after replying.
 */
void *store_call_update(struct api_call *call, enum store_kind kind,
			const ProtobufCMessageDescriptor *desc);
/* Perform a Remove… method on the object that the route names. */
void store_call_remove(struct api_call *call, enum store_kind kind, const char *method, bool force,
		       int status);

/* --- lists: store_list.c --- */

struct store_list;
/* One object of the list as JSON, a new reference. */
typedef json_t *store_list_fn(struct api_call *call, const void *obj);
struct store_list *store_list_new(struct api_call *call, store_list_fn *write);
/* A reference is taken. */
void store_list_add(struct store_list *l, const void *obj);
/* Reply with what was added, in that order; ends the call and the list, a long one later. */
void store_list_reply(struct store_list *l);
/* Without a reply. */
void store_list_free(struct store_list *l);
