/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node's TLS credentials: root bundle, own certificate and key, for connections that it accepts
 * and that it makes. TLS 1.2 and later, ECDHE with AEAD ciphers; a server asks for a client
 * certificate and takes none, but verifies one that is given.
 *
 * Credentials are replaced at run time when a certificate is renewed: connections that exist go
 * on, new ones use the new. Counted: whoever keeps a pointer has a reference. All texts are PEM,
 * borrowed for the call. Loop thread only.
 * Source: SWARM-WIRE §1 (TLS); swarmkit ca/config.go (NewServerTLSConfig).
 */
#pragma once

#include "core/err.h"

struct tls;
struct ssl_ctx_st;
struct ssl_st;
struct X509_name_st;
struct bufferevent;
struct loop;

/*
 * roots NULL: verify nobody (the first call of a join, which checks what it gets by the token's
 * digest). cert and key NULL: a client without certificate, no server.
 */
int tls_new(const char *roots, const char *cert, const char *key, struct tls **ret,
	    struct err *err);
/* On failure the old ones stay. */
int tls_replace(struct tls *tls, const char *roots, const char *cert, const char *key,
		struct err *err);
struct tls *tls_get(struct tls *tls);
void tls_put(struct tls *tls); /* NULL is fine */

/*
 * One end of a new connection, to hand to bufferevent_openssl_socket_new(); NULL without
 * certificate (server) or memory. alpn: the one protocol offered ("h2"), or NULL for none. The
 * server's end takes "h2" and "http/1.1" where offered.
 */
struct ssl_st *tls_accept_ssl(struct tls *tls);
/* server_name: one of the DNS names that the server's certificate must have; NULL: do not check. */
struct ssl_st *tls_connect_ssl(struct tls *tls, const char *server_name, const char *alpn);
/* The server's context of this moment, for http_server_listen(); borrowed until tls_replace(). */
struct ssl_ctx_st *tls_server_ctx(struct tls *tls);

/* Who is at the other end, by its verified certificate. Owns its strings: tls_peer_done(). */
struct tls_peer {
	char *node_id; /* CN */
	char *role; /* OU: "swarm-worker" or "swarm-manager" */
	char *cluster_id; /* O */
};

/* -ENOENT when the peer gave no certificate or it was not verified (*ret is zeroed). */
int tls_peer(struct ssl_st *ssl, struct tls_peer *ret);
void tls_peer_done(struct tls_peer *peer);
/* A part (NID_commonName, …) of a certificate's name; malloc'd, "" when there is none. */
char *tls_name_part(struct X509_name_st *name, int nid);
/* The chain that the peer sent, leaf first, as PEM, verified or not; malloc'd; NULL without. */
char *tls_peer_chain(struct ssl_st *ssl);
/*
 * X509_verify_cert(), which also accepts SwarmKit's cross-signed roots: named like their issuer and
 * without its key's identifier, OpenSSL alone takes them for self-signed ones.
 */
struct x509_store_ctx_st;
int tls_verify_cert(struct x509_store_ctx_st *ctx);
/* One sentence on why the handshake or the stream failed; empties OpenSSL's queue. */
int tls_error(struct ssl_st *ssl, struct err *err, const char *what);
