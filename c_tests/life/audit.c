/* A library for LD_AUDIT that looks at everything and changes nothing. */
unsigned la_version(unsigned version);

unsigned la_version(unsigned version) { return version; }
