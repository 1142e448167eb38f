// SPDX-License-Identifier: Apache-2.0
#include "ctr/names.h"

static const char *const left[] = {
	"able",	  "amber",   "brave",	"bright", "brisk",  "calm",   "clever",	 "cosy",
	"crisp",  "curious", "deft",	"eager",  "early",  "fair",   "fleet",	 "fond",
	"frank",  "fresh",   "gentle",	"glad",	  "golden", "grand",  "happy",	 "hardy",
	"honest", "humble",  "jolly",	"keen",	  "kind",   "lively", "loyal",	 "lucid",
	"merry",  "mild",    "modest",	"neat",	  "nimble", "noble",  "patient", "placid",
	"plucky", "polite",  "proud",	"quick",  "quiet",  "ready",  "serene",	 "sharp",
	"silent", "simple",  "sincere", "smooth", "steady", "sturdy", "sunny",	 "swift",
	"tidy",	  "upbeat",  "vivid",	"warm",	  "wise",   "witty",  "young",	 "zesty",
};
static const char *const right[] = {
	"abel",	     "ampere",	 "babbage", "bernoulli",  "bohr",      "boole",	     "boyle",
	"cantor",    "cauchy",	 "church",  "copernicus", "coulomb",   "curie",	     "darwin",
	"descartes", "dijkstra", "dirac",   "edison",	  "einstein",  "euclid",     "euler",
	"faraday",   "fermat",	 "fermi",   "feynman",	  "fibonacci", "fourier",    "galileo",
	"galois",    "gauss",	 "germain", "godel",	  "hamilton",  "heisenberg", "hertz",
	"hilbert",   "hopper",	 "hubble",  "huygens",	  "joule",     "kepler",     "knuth",
	"lagrange",  "laplace",	 "leibniz", "lovelace",	  "maxwell",   "meitner",    "mendel",
	"newton",    "noether",	 "ohm",	    "pascal",	  "planck",    "poincare",   "ptolemy",
	"ramanujan", "riemann",	 "shannon", "tesla",	  "turing",    "volta",	     "watt",
	"wiles",
};

char *name_make(struct rng *rng)
{
	return xasprintf("%s_%s", left[rng_below(rng, ARRAY_SIZE(left))],
			 right[rng_below(rng, ARRAY_SIZE(right))]);
}
