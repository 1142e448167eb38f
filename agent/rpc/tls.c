// SPDX-License-Identifier: Apache-2.0
#include "rpc/tls.h"

#include <errno.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#define CIPHERS_12 "ECDHE+AESGCM:ECDHE+CHACHA20"

enum { CHAIN_MAX = 8 }; /* certificates looked at */

struct tls {
	unsigned int refs;
	SSL_CTX *server; /* NULL without certificate */
	SSL_CTX *client;
};

static const uint8_t known_alpn[] = "\x02h2\x08http/1.1";

static void release_ctx(SSL_CTX **p)
{
	SSL_CTX_free(*p);
}
#define _cleanup_ctx_ _cleanup_(release_ctx)

static int fail(struct err *err, int code, const char *what)
{
	unsigned long e = ERR_peek_last_error();
	const char *reason = e ? ERR_reason_error_string(e) : NULL;

	ERR_clear_error();
	return reason ? err_set(err, code, "%s: %s", what, reason) : err_set(err, code, "%s", what);
}

/* Never ask a terminal. */
static int no_password(char *buf, int size, int rwflag, void *arg)
{
	(void)buf, (void)size, (void)rwflag, (void)arg;
	return -1;
}

/* fn(arg, cert) for each certificate of the text, which it takes over. Returns how many. */
static int each_cert(const char *pem, bool (*fn)(void *arg, X509 *cert), void *arg)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	X509 *cert;
	int n = 0;

	while (n >= 0 && (cert = PEM_read_bio_X509(bio, NULL, no_password, NULL)))
		n = fn(arg, cert) ? n + 1 : -1;
	if (n > 0 && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		n = -1;
	else if (n > 0)
		ERR_clear_error();
	BIO_free(bio);
	return n;
}

static bool add_root(void *arg, X509 *cert)
{
	bool ok = X509_STORE_add_cert(SSL_CTX_get_cert_store(arg), cert);

	X509_free(cert);
	return ok;
}

struct chain {
	SSL_CTX *ctx;
	bool has_leaf;
};

static bool add_chain(void *arg, X509 *cert)
{
	struct chain *c = arg;
	bool ok;

	if (c->has_leaf) {
		ok = SSL_CTX_add0_chain_cert(c->ctx, cert);
		if (!ok)
			X509_free(cert);
		return ok;
	}
	c->has_leaf = true;
	ok = SSL_CTX_use_certificate(c->ctx, cert);
	X509_free(cert);
	return ok;
}

static int use_certificate(SSL_CTX *ctx, const char *cert, const char *key, struct err *err)
{
	struct chain chain = {.ctx = ctx};
	BIO *bio;
	EVP_PKEY *pkey;
	bool ok;

	if (each_cert(cert, add_chain, &chain) <= 0)
		return fail(err, -EINVAL, "the node's certificate cannot be read");
	bio = BIO_new_mem_buf(key, -1);
	pkey = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
	BIO_free(bio);
	if (!pkey)
		return fail(err, -EINVAL, "the node's key cannot be read");
	ok = SSL_CTX_use_PrivateKey(ctx, pkey) && SSL_CTX_check_private_key(ctx);
	EVP_PKEY_free(pkey);
	return ok ? 0 : fail(err, -EINVAL, "the node's certificate and key do not fit");
}

/* What we prefer of what the client offers; without a common protocol there is none. */
static int select_alpn(SSL *ssl, const uint8_t **out, uint8_t *out_size, const uint8_t *in,
		       unsigned int in_size, void *arg)
{
	uint8_t *choice;

	(void)ssl, (void)arg;
	if (SSL_select_next_proto(&choice, out_size, known_alpn, sizeof(known_alpn) - 1, in,
				  in_size) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_NOACK;
	*out = choice;
	return SSL_TLSEXT_ERR_OK;
}

/* Signed by one of the roots, though it names itself as the issuer. */
static bool is_cross_signed(X509 *cert, const STACK_OF(X509) * roots)
{
	bool found = false;

	if (X509_check_ca(cert) != 1 ||
	    X509_NAME_cmp(X509_get_subject_name(cert), X509_get_issuer_name(cert)) ||
	    X509_cmp_current_time(X509_get0_notBefore(cert)) > 0 ||
	    X509_cmp_current_time(X509_get0_notAfter(cert)) < 0)
		return false;
	for (int i = 0; i < sk_X509_num(roots) && !found; i++) {
		X509 *root = sk_X509_value(roots, i);

		found = !X509_NAME_cmp(X509_get_subject_name(root), X509_get_issuer_name(cert)) &&
			X509_cmp(root, cert) && X509_verify(cert, X509_get0_pubkey(root)) == 1;
	}
	ERR_clear_error();
	return found;
}

int tls_verify_cert(X509_STORE_CTX *ctx)
{
	STACK_OF(X509) *sent = X509_STORE_CTX_get0_untrusted(ctx);
	STACK_OF(X509) *roots = X509_STORE_get1_all_certs(X509_STORE_CTX_get0_store(ctx));
	int n_roots = sk_X509_num(roots), rc;

	for (int i = 0; roots && i < sk_X509_num(sent) && i < CHAIN_MAX; i++) {
		X509 *cert = sk_X509_value(sent, i);

		if (is_cross_signed(cert, roots) && X509_up_ref(cert))
			sk_X509_push(roots, cert);
	}
	if (sk_X509_num(roots) > n_roots) {
		X509_STORE_CTX_set0_trusted_stack(ctx, roots);
		X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_PARTIAL_CHAIN);
	}
	rc = X509_verify_cert(ctx);
	if (sk_X509_num(roots) > n_roots)
		X509_STORE_CTX_set0_trusted_stack(ctx, NULL);
	sk_X509_pop_free(roots, X509_free);
	return rc;
}

static int verify(X509_STORE_CTX *ctx, void *arg)
{
	(void)arg;
	return tls_verify_cert(ctx);
}

static int make_ctx(const SSL_METHOD *method, const char *roots, const char *cert, const char *key,
		    SSL_CTX **ret, struct err *err)
{
	_cleanup_ctx_ SSL_CTX *ctx = SSL_CTX_new(method);
	int rc = 0;

	if (!ctx || !SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) ||
	    !SSL_CTX_set_cipher_list(ctx, CIPHERS_12))
		return fail(err, -EIO, "cannot set TLS up");
	/* thousands of connections are idle most of the time: keep no buffers for them */
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
				      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_options(ctx,
			    SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(ctx, 0);
	if (roots && each_cert(roots, add_root, ctx) <= 0)
		return fail(err, -EINVAL, "the swarm's root certificates cannot be read");
	SSL_CTX_set_cert_verify_callback(ctx, verify, NULL);
	SSL_CTX_set_verify(ctx, roots ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
	if (cert)
		rc = use_certificate(ctx, cert, key, err);
	if (!rc)
		*ret = steal_ptr(ctx);
	return rc;
}

int tls_replace(struct tls *tls, const char *roots, const char *cert, const char *key,
		struct err *err)
{
	_cleanup_ctx_ SSL_CTX *server = NULL;
	_cleanup_ctx_ SSL_CTX *client = NULL;
	int rc = make_ctx(TLS_client_method(), roots, cert, key, &client, err);

	if (!rc && cert)
		rc = make_ctx(TLS_server_method(), roots, cert, key, &server, err);
	if (rc)
		return rc;
	if (server)
		SSL_CTX_set_alpn_select_cb(server, select_alpn, NULL);
	SSL_CTX_free(tls->server);
	SSL_CTX_free(tls->client);
	tls->server = steal_ptr(server);
	tls->client = steal_ptr(client);
	return 0;
}

int tls_new(const char *roots, const char *cert, const char *key, struct tls **ret, struct err *err)
{
	struct tls *tls = xcalloc(1, sizeof(*tls));
	int rc = tls_replace(tls, roots, cert, key, err);

	if (rc) {
		free(tls);
		return rc;
	}
	tls->refs = 1;
	*ret = tls;
	return 0;
}

struct tls *tls_get(struct tls *tls)
{
	tls->refs++;
	return tls;
}

void tls_put(struct tls *tls)
{
	if (!tls || --tls->refs)
		return;
	SSL_CTX_free(tls->server);
	SSL_CTX_free(tls->client);
	free(tls);
}

SSL *tls_accept_ssl(struct tls *tls)
{
	return tls->server ? SSL_new(tls->server) : NULL;
}

SSL *tls_connect_ssl(struct tls *tls, const char *server_name, const char *alpn)
{
	SSL *ssl = SSL_new(tls->client);
	uint8_t protos[64];
	size_t n = alpn ? strlen(alpn) : 0;

	if (!ssl)
		return NULL;
	assert(n < sizeof(protos));
	if (server_name &&
	    (!SSL_set_tlsext_host_name(ssl, server_name) || !SSL_set1_host(ssl, server_name)))
		goto bad;
	if (n) {
		protos[0] = n;
		memcpy(protos + 1, alpn, n);
		if (SSL_set_alpn_protos(ssl, protos, n + 1))
			goto bad;
	}
	return ssl;
bad:
	SSL_free(ssl);
	return NULL;
}

SSL_CTX *tls_server_ctx(struct tls *tls)
{
	return tls->server;
}

char *tls_name_part(X509_NAME *name, int nid)
{
	int at = X509_NAME_get_index_by_NID(name, nid, -1);
	uint8_t *utf8 = NULL;
	char *part;

	if (at < 0 ||
	    ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at))) < 0)
		return xstrdup("");
	part = xstrdup((char *)utf8);
	OPENSSL_free(utf8);
	return part;
}

int tls_peer(SSL *ssl, struct tls_peer *ret)
{
	X509 *cert = SSL_get0_peer_certificate(ssl);
	X509_NAME *name;

	memset(ret, 0, sizeof(*ret));
	if (!cert || SSL_get_verify_mode(ssl) == SSL_VERIFY_NONE ||
	    SSL_get_verify_result(ssl) != X509_V_OK)
		return -ENOENT;
	name = X509_get_subject_name(cert);
	ret->node_id = tls_name_part(name, NID_commonName);
	ret->role = tls_name_part(name, NID_organizationalUnitName);
	ret->cluster_id = tls_name_part(name, NID_organizationName);
	return 0;
}

void tls_peer_done(struct tls_peer *peer)
{
	free(peer->node_id);
	free(peer->role);
	free(peer->cluster_id);
	memset(peer, 0, sizeof(*peer));
}

char *tls_peer_chain(SSL *ssl)
{
	STACK_OF(X509) *chain = SSL_get_peer_cert_chain(ssl);
	X509 *leaf = SSL_get0_peer_certificate(ssl);
	BIO *bio;
	char *data, *text;
	long n;

	if (!leaf)
		return NULL;
	bio = BIO_new(BIO_s_mem());
	/* a server's view of the chain lacks the leaf (SSL_get_peer_cert_chain(3)) */
	if (!chain || !sk_X509_num(chain) || X509_cmp(sk_X509_value(chain, 0), leaf))
		PEM_write_bio_X509(bio, leaf);
	for (int i = 0; chain && i < sk_X509_num(chain); i++)
		PEM_write_bio_X509(bio, sk_X509_value(chain, i));
	n = BIO_get_mem_data(bio, &data);
	text = xstrndup(data, n);
	BIO_free(bio);
	return text;
}

int tls_error(SSL *ssl, struct err *err, const char *what)
{
	long verify = ssl ? SSL_get_verify_result(ssl) : X509_V_OK;

	if (verify != X509_V_OK) {
		ERR_clear_error();
		return err_set(err, -EACCES, "%s: the peer's certificate is not trusted: %s", what,
			       X509_verify_cert_error_string(verify));
	}
	return fail(err, -EPROTO, what);
}
