// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include <openssl/asn1.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "core/buf.h"
#include "manager/ca.h"
#include "rpc/tls.h"

#define NS_PER_S 1000000000LL
#define ROOT_YEARS 20
#define BACKDATE_S 3600 /* for clocks that run behind */

#define RELEASE(type, free_fn)                                                                     \
	static void release_##type(type **p)                                                       \
	{                                                                                          \
		free_fn(*p);                                                                       \
	}
RELEASE(EVP_PKEY, EVP_PKEY_free)
RELEASE(X509, X509_free)
RELEASE(X509_REQ, X509_REQ_free)
RELEASE(X509_STORE, X509_STORE_free)
RELEASE(X509_STORE_CTX, X509_STORE_CTX_free)
RELEASE(BIO, BIO_free_all)
#undef RELEASE
#define _own_(type) _cleanup_(release_##type) type

static void release_certs(STACK_OF(X509) * *p)
{
	sk_X509_pop_free(*p, X509_free);
}

/* OpenSSL's own reason behind the sentence; its queue is left empty. */
static int fail(struct err *err, int code, const char *what)
{
	unsigned long e = ERR_peek_last_error();
	const char *reason = e ? ERR_reason_error_string(e) : NULL;

	ERR_clear_error();
	return reason ? err_set(err, code, "%s: %s", what, reason) : err_set(err, code, "%s", what);
}

static BIO *text_bio(const char *text)
{
	return BIO_new_mem_buf(text, strlen(text));
}

static char *bio_text(BIO *bio)
{
	char *data;
	long n = BIO_get_mem_data(bio, &data);

	return xstrndup(data, n);
}

static EVP_PKEY *new_key(void)
{
	return EVP_EC_gen("P-256");
}

static char *key_text(EVP_PKEY *key)
{
	_own_(BIO) *bio = BIO_new(BIO_s_mem());

	if (!PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL))
		return NULL;
	return bio_text(bio);
}

static char *cert_text(X509 *cert, const char *more)
{
	_own_(BIO) *bio = BIO_new(BIO_s_mem());

	if (!PEM_write_bio_X509(bio, cert))
		return NULL;
	if (!str_empty(more))
		BIO_puts(bio, more);
	return bio_text(bio);
}

static EVP_PKEY *read_key(const char *text)
{
	_own_(BIO) *bio = text_bio(text);

	return PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
}

static X509 *read_cert(const char *text)
{
	_own_(BIO) *bio = text_bio(text);

	return PEM_read_bio_X509(bio, NULL, NULL, NULL);
}

/* All certificates of the text, at least one, or NULL. */
static STACK_OF(X509) * read_certs(const char *text)
{
	_own_(BIO) *bio = text_bio(text);
	STACK_OF(X509) *certs = sk_X509_new_null();
	X509 *cert;

	while ((cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)))
		sk_X509_push(certs, cert);
	if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE || !sk_X509_num(certs)) {
		release_certs(&certs);
		return NULL;
	}
	ERR_clear_error();
	return certs;
}

static bool set_serial(X509 *cert)
{
	uint8_t raw[20];
	BIGNUM *bn = NULL;
	bool ok;

	if (RAND_bytes(raw, sizeof(raw)) != 1)
		return false;
	raw[0] = (raw[0] & 0x7f) | 0x40; /* positive, of full length (RFC 5280 §4.1.2.2) */
	bn = BN_bin2bn(raw, sizeof(raw), NULL);
	ok = bn && BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(cert));
	BN_free(bn);
	return ok;
}

static bool add_ext(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *ext;
	bool ok;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	ok = ext && X509_add_ext(cert, ext, -1);
	X509_EXTENSION_free(ext);
	return ok;
}

static bool set_times(X509 *cert, time_t from, time_t to)
{
	return ASN1_TIME_set(X509_getm_notBefore(cert), from) &&
	       ASN1_TIME_set(X509_getm_notAfter(cert), to);
}

static bool add_name(X509_NAME *name, const char *field, const char *value)
{
	return X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, (const uint8_t *)value, -1,
					  -1, 0);
}

int ca_root_new(char **ret_cert, char **ret_key, struct err *err)
{
	_own_(EVP_PKEY) *key = new_key();
	_own_(X509) *cert = X509_new();
	_cleanup_free_ char *cert_pem = NULL, *key_pem = NULL;
	time_t now = time(NULL);
	X509_NAME *name = X509_get_subject_name(cert);

	if (!key || !X509_set_version(cert, X509_VERSION_3) || !set_serial(cert) ||
	    !set_times(cert, now - BACKDATE_S, now + (time_t)ROOT_YEARS * 365 * 24 * 3600) ||
	    !add_name(name, "CN", CA_SERVER) || !X509_set_issuer_name(cert, name) ||
	    !X509_set_pubkey(cert, key) ||
	    !add_ext(cert, cert, NID_key_usage, "critical,keyCertSign,cRLSign") ||
	    !add_ext(cert, cert, NID_basic_constraints, "critical,CA:TRUE") ||
	    !add_ext(cert, cert, NID_subject_key_identifier, "hash") ||
	    !X509_sign(cert, key, EVP_sha256()))
		return fail(err, -EIO, "cannot make a root certificate");
	cert_pem = cert_text(cert, NULL);
	key_pem = key_text(key);
	if (!cert_pem || !key_pem)
		return fail(err, -EIO, "cannot write a root certificate");
	*ret_cert = steal_ptr(cert_pem);
	*ret_key = steal_ptr(key_pem);
	return 0;
}

int ca_csr_new(char **ret_csr, char **ret_key, struct err *err)
{
	_own_(EVP_PKEY) *key = new_key();
	_own_(X509_REQ) *req = X509_REQ_new();
	_own_(BIO) *bio = BIO_new(BIO_s_mem());
	char *key_pem;

	if (!key || !X509_REQ_set_version(req, X509_REQ_VERSION_1) ||
	    !X509_REQ_set_pubkey(req, key) || !X509_REQ_sign(req, key, EVP_sha256()) ||
	    !PEM_write_bio_X509_REQ(bio, req))
		return fail(err, -EIO, "cannot make a certificate request");
	key_pem = key_text(key);
	if (!key_pem)
		return fail(err, -EIO, "cannot write a private key");
	*ret_csr = bio_text(bio);
	*ret_key = key_pem;
	return 0;
}

static bool fill_leaf(X509 *cert, X509 *root, EVP_PKEY *public, const struct ca_leaf *leaf)
{
	int64_t expiry = leaf->expiry_ns;
	time_t now = time(NULL);
	X509_NAME *name = X509_get_subject_name(cert);
	char sans[512];
	int n;

	if (expiry < CA_NODE_EXPIRY_MIN_NS)
		expiry = CA_NODE_EXPIRY_NS;
	n = snprintf(sans, sizeof(sans), "DNS:%s,DNS:%s%s", leaf->role, leaf->node_id,
		     streq(leaf->role, CA_MANAGER) ? ",DNS:" CA_SERVER : "");
	return n < (int)sizeof(sans) && !strpbrk(leaf->node_id, ",:\n") &&
	       X509_set_version(cert, X509_VERSION_3) && set_serial(cert) &&
	       set_times(cert, now - BACKDATE_S, now + expiry / NS_PER_S) &&
	       add_name(name, "O", leaf->cluster_id) && add_name(name, "OU", leaf->role) &&
	       add_name(name, "CN", leaf->node_id) &&
	       X509_set_issuer_name(cert, X509_get_subject_name(root)) &&
	       X509_set_pubkey(cert, public) &&
	       add_ext(cert, root, NID_key_usage, "critical,digitalSignature,keyEncipherment") &&
	       add_ext(cert, root, NID_ext_key_usage, "serverAuth,clientAuth") &&
	       add_ext(cert, root, NID_basic_constraints, "critical,CA:FALSE") &&
	       add_ext(cert, root, NID_subject_key_identifier, "hash") &&
	       add_ext(cert, root, NID_authority_key_identifier, "keyid") &&
	       add_ext(cert, root, NID_subject_alt_name, sans);
}

int ca_sign(const char *root_cert, const char *root_key, const char *intermediates, const char *csr,
	    const struct ca_leaf *leaf, char **ret_cert, struct err *err)
{
	_own_(BIO) *bio = text_bio(csr);
	_own_(X509_REQ) *req = PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL);
	_own_(X509) *root = read_cert(root_cert);
	_own_(EVP_PKEY) *key = read_key(root_key);
	_own_(X509) *cert = X509_new();
	EVP_PKEY *public = req ? X509_REQ_get0_pubkey(req) : NULL;

	if (!public || X509_REQ_verify(req, public) != 1)
		return fail(err, -EINVAL, "the certificate request is not valid");
	if (!root || !key)
		return fail(err, -EIO, "cannot read the swarm's root certificate and key");
	if (!fill_leaf(cert, root, public, leaf) || !X509_sign(cert, key, EVP_sha256()))
		return fail(err, -EIO, "cannot sign a certificate");
	*ret_cert = cert_text(cert, intermediates);
	return *ret_cert ? 0 : fail(err, -EIO, "cannot write a certificate");
}

int ca_cross_sign(const char *old_cert, const char *old_key, const char *new_cert, char **ret_cert,
		  struct err *err)
{
	_own_(X509) *old = read_cert(old_cert);
	_own_(X509) *new = read_cert(new_cert);
	_own_(EVP_PKEY) *key = read_key(old_key);
	_own_(X509) *cert = X509_new();

	if (!old || !new || !key)
		return fail(err, -EINVAL,
			    "cannot read the root certificates and the key of a rotation");
	if (!X509_set_version(cert, X509_VERSION_3) || !set_serial(cert) ||
	    !X509_set1_notBefore(cert, X509_get0_notBefore(new)) ||
	    !X509_set1_notAfter(cert, X509_get0_notAfter(new)) ||
	    !X509_set_subject_name(cert, X509_get_subject_name(new)) ||
	    !X509_set_issuer_name(cert, X509_get_subject_name(old)) ||
	    !X509_set_pubkey(cert, X509_get0_pubkey(new)) ||
	    !add_ext(cert, old, NID_key_usage, "critical,keyCertSign,cRLSign") ||
	    !add_ext(cert, old, NID_basic_constraints, "critical,CA:TRUE") ||
	    !add_ext(cert, old, NID_subject_key_identifier, "hash") ||
	    !add_ext(cert, old, NID_authority_key_identifier, "keyid") ||
	    !X509_sign(cert, key, EVP_sha256()))
		return fail(err, -EIO, "cannot cross-sign the new root certificate");
	*ret_cert = cert_text(cert, NULL);
	return *ret_cert ? 0 : fail(err, -EIO, "cannot write a certificate");
}

static int64_t time_ns(const ASN1_TIME *t)
{
	struct tm tm;

	return ASN1_TIME_to_tm(t, &tm) ? timegm(&tm) * NS_PER_S : 0;
}

static void identify(X509 *cert, struct ca_identity *ret)
{
	X509_NAME *name = X509_get_subject_name(cert);
	uint8_t *der = NULL;
	int n = i2d_X509_NAME(X509_get_issuer_name(cert), &der);

	memset(ret, 0, sizeof(*ret));
	ret->node_id = tls_name_part(name, NID_commonName);
	ret->role = tls_name_part(name, NID_organizationalUnitName);
	ret->cluster_id = tls_name_part(name, NID_organizationName);
	ret->not_before_ns = time_ns(X509_get0_notBefore(cert));
	ret->not_after_ns = time_ns(X509_get0_notAfter(cert));
	if (n > 0) {
		ret->issuer_subject = xmemdup(der, n);
		ret->issuer_subject_size = n;
	}
	OPENSSL_free(der);
}

int ca_identity(const char *text, struct ca_identity *ret, struct err *err)
{
	_own_(X509) *cert = read_cert(text);

	if (!cert)
		return fail(err, -EINVAL, "the certificate cannot be read");
	identify(cert, ret);
	return 0;
}

int ca_verify(const char *roots, const char *text, struct ca_identity *ret, struct err *err)
{
	_cleanup_(release_certs) STACK_OF(X509) *trusted = read_certs(roots);
	_cleanup_(release_certs) STACK_OF(X509) *chain = read_certs(text);
	_own_(X509_STORE) *store = X509_STORE_new();
	_own_(X509_STORE_CTX) *ctx = X509_STORE_CTX_new();

	if (!trusted)
		return fail(err, -EINVAL, "the root certificate cannot be read");
	if (!chain)
		return fail(err, -EINVAL, "the certificate cannot be read");
	for (int i = 0; i < sk_X509_num(trusted); i++)
		X509_STORE_add_cert(store, sk_X509_value(trusted, i));
	if (!X509_STORE_CTX_init(ctx, store, sk_X509_value(chain, 0), chain))
		return fail(err, -EIO, "cannot verify a certificate");
	if (tls_verify_cert(ctx) != 1) {
		ERR_clear_error();
		return err_set(err, -EACCES, "the certificate is not trusted: %s",
			       X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx)));
	}
	identify(sk_X509_value(chain, 0), ret);
	return 0;
}

void ca_identity_done(struct ca_identity *id)
{
	free(id->node_id);
	free(id->role);
	free(id->cluster_id);
	free(id->issuer_subject);
	memset(id, 0, sizeof(*id));
}

int ca_key_matches(const char *cert_pem, const char *key_pem, struct err *err)
{
	_own_(X509) *cert = read_cert(cert_pem);
	_own_(EVP_PKEY) *key = read_key(key_pem);

	if (!cert || !key)
		return fail(err, -EINVAL, "the certificate or its key cannot be read");
	if (X509_check_private_key(cert, key) != 1)
		return fail(err, -EINVAL, "the certificate and the key do not fit");
	return 0;
}

int ca_roots_check(const char *roots, struct err *err)
{
	_cleanup_(release_certs) STACK_OF(X509) *certs = read_certs(roots);

	if (!certs)
		return fail(err, -EINVAL, "the root certificate cannot be read");
	for (int i = 0; i < sk_X509_num(certs); i++) {
		X509 *cert = sk_X509_value(certs, i);

		if (X509_self_signed(cert, 1) != 1)
			return fail(err, -EINVAL, "a root certificate is not self-signed");
		if (X509_cmp_current_time(X509_get0_notBefore(cert)) > 0 ||
		    X509_cmp_current_time(X509_get0_notAfter(cert)) < 0)
			return fail(err, -EINVAL, "a root certificate is not valid at this time");
	}
	return 0;
}

int ca_subject_and_key(const char *text, void **ret_subject, size_t *ret_subject_size,
		       void **ret_key, size_t *ret_key_size, struct err *err)
{
	_own_(X509) *cert = read_cert(text);
	uint8_t *name = NULL, *key = NULL;
	int n_name, n_key;

	if (!cert)
		return fail(err, -EINVAL, "the certificate cannot be read");
	n_name = i2d_X509_NAME(X509_get_subject_name(cert), &name);
	n_key = i2d_PUBKEY(X509_get0_pubkey(cert), &key);
	if (n_name > 0 && n_key > 0) {
		*ret_subject = xmemdup(name, n_name);
		*ret_subject_size = n_name;
		*ret_key = xmemdup(key, n_key);
		*ret_key_size = n_key;
	}
	OPENSSL_free(name);
	OPENSSL_free(key);
	return n_name > 0 && n_key > 0 ? 0
				       : fail(err, -EINVAL, "the certificate cannot be encoded");
}
