/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/base/duration.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "runtime/base/parse_int.h"
#include "runtime/base/str.h"

#define DIGITS "0123456789"
#define NS_PER_S 1000000000U
#define FRACTION_DIGITS 9U

static const struct unit {
	const char *name;
	uint64_t ns;
} units[] = {
	{ "h", 3600 * (uint64_t)NS_PER_S },
	{ "m", 60 * (uint64_t)NS_PER_S },
	{ "s", NS_PER_S },
	{ "ms", 1000000 },
	{ "us", 1000 },
	{ "\xc2\xb5s", 1000 },	/* U+00B5 and U+03BC both look like the Greek letter */
	{ "\xce\xbcs", 1000 },
	{ "ns", 1 },
};

static int find_unit(const char *name, size_t len, uint64_t *ret_ns)
{
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (strlen(units[i].name) == len && strncmp(units[i].name, name, len) == 0) {
			*ret_ns = units[i].ns;
			return 0;
		}
	}
	return -EINVAL;
}

/* The digits before the point; none are 0. */
static int parse_whole(const char *s, size_t len, uint64_t *ret_v)
{
	char text[24];

	*ret_v = 0;
	if (len >= sizeof(text))
		return -ERANGE;
	memcpy(text, s, len);
	text[len] = '\0';
	return len == 0 ? 0 : parse_u64(text, 0, UINT64_MAX, ret_v);
}

/* The digits after it, as billionths; what is smaller is cut off. */
static int parse_fraction(const char *s, size_t len, uint64_t *ret_v)
{
	char text[FRACTION_DIGITS + 1];

	memset(text, '0', FRACTION_DIGITS);
	memcpy(text, s, len < FRACTION_DIGITS ? len : FRACTION_DIGITS);
	text[FRACTION_DIGITS] = '\0';
	return parse_u64(text, 0, NS_PER_S - 1, ret_v);
}

/* One number with its unit, added to *ns; *at is moved behind it. */
static int add_part(const char **at, bool first, uint64_t *ns)
{
	const char *s = *at, *fraction;
	size_t n_whole = strspn(s, DIGITS), n_fraction = 0, n_unit;
	uint64_t whole = 0, billionths = 0, unit = NS_PER_S, v;
	int r;

	fraction = s + n_whole;
	if (*fraction == '.')
		n_fraction = strspn(++fraction, DIGITS);
	if (n_whole + n_fraction == 0)
		return -EINVAL;
	s = fraction + n_fraction;
	n_unit = strcspn(s, "." DIGITS);
	/* Only a number that stands alone needs no unit. */
	r = n_unit == 0 && first && *s == '\0' ? 0 : find_unit(s, n_unit, &unit);
	if (r == 0)
		r = parse_whole(*at, n_whole, &whole);
	if (r == 0)
		r = parse_fraction(fraction, n_fraction, &billionths);
	if (r < 0)
		return r;
	*at = s + n_unit;
	if (__builtin_mul_overflow(whole, unit, &v) || __builtin_add_overflow(*ns, v, ns))
		return -ERANGE;
	v = (uint64_t)((unsigned __int128)unit * billionths / NS_PER_S);
	return __builtin_add_overflow(*ns, v, ns) ? -ERANGE : 0;
}

int parse_duration(const char *s, uint64_t *ret_ns)
{
	uint64_t ns = 0;
	bool first = true;

	if (*s == '\0')
		return -EINVAL;
	while (*s != '\0') {
		int r = add_part(&s, first, &ns);

		if (r < 0)
			return r;
		first = false;
	}
	*ret_ns = ns;
	return 0;
}
