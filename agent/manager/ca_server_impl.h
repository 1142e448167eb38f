/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the CA server: what ca_rotate.c does for ca_server.c. */
#pragma once

#include "manager/ca_server.h"
#include "store/store.h"

/* Bytes as a C string, malloc'd. */
char *ca_text(ProtobufCBinaryData b);
/*
 * Sign node->certificate.csr for certificate.role with the cluster's root (of a rotation: the new
 * one, with its cross-signed certificate). -EINVAL for a bad request, -EAGAIN without a key.
 */
int ca_sign_node(const Pb__Cluster *cluster, Pb__Node *node, struct err *err);
/* Whether the spec asks for a root other than there is or is on its way. */
bool ca_rotation_wanted(const Pb__Cluster *cluster);
/* The new root becomes the root; the tokens carry its digest. */
int ca_rotation_end(Pb__Cluster *cluster, struct err *err);
