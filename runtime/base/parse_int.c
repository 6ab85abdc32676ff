/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/base/parse_int.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

static int digits(const char *s, unsigned int base, uint64_t *ret_v)
{
	uint64_t v = 0;

	if (*s == '\0')
		return -EINVAL;
	for (; *s != '\0'; s++) {
		unsigned int d = (unsigned int)(unsigned char)*s - '0';

		if (d >= base)
			return -EINVAL;
		if (__builtin_mul_overflow(v, base, &v) || __builtin_add_overflow(v, d, &v))
			return -ERANGE;
	}
	*ret_v = v;
	return 0;
}

int parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *ret_v)
{
	uint64_t v;
	int r = digits(s, 10, &v);

	if (r < 0)
		return r;
	if (v < min || v > max)
		return -ERANGE;
	*ret_v = v;
	return 0;
}

int parse_i64(const char *s, int64_t min, int64_t max, int64_t *ret_v)
{
	bool negative = *s == '-';
	uint64_t magnitude;
	int64_t v;
	int r = digits(negative ? s + 1 : s, 10, &magnitude);

	if (r < 0)
		return r;
	if (magnitude > (uint64_t)INT64_MAX + (negative ? 1U : 0U))
		return -ERANGE;
	/* -(m - 1) - 1 reaches INT64_MIN without overflow. */
	if (negative && magnitude > 0)
		v = -(int64_t)(magnitude - 1) - 1;
	else
		v = (int64_t)magnitude;
	if (v < min || v > max)
		return -ERANGE;
	*ret_v = v;
	return 0;
}

int parse_mode(const char *s, uint32_t *ret_v)
{
	uint64_t v;
	int r = digits(s, 8, &v);

	if (r < 0)
		return r;
	if (v > 07777)
		return -ERANGE;
	*ret_v = (uint32_t)v;
	return 0;
}

int parse_size(const char *s, int64_t *ret_v)
{
	static const char units[] = "kmgt";
	size_t n = strspn(s, "0123456789");
	const char *unit, *rest = s + n;
	char text[32];
	uint64_t v;
	int r;

	if (strcmp(s, "-1") == 0 || strcmp(s, "max") == 0) {
		*ret_v = -1;
		return 0;
	}
	if (n == 0 || n >= sizeof(text))
		return -EINVAL;
	memcpy(text, s, n);
	text[n] = '\0';
	r = parse_u64(text, 0, INT64_MAX, &v);
	if (r < 0)
		return r;
	unit = *rest != '\0' ? strchr(units, *rest | 0x20) : NULL;
	if (unit != NULL) {
		unsigned int shift = 10 * ((unsigned int)(unit - units) + 1);

		if (v > (uint64_t)INT64_MAX >> shift)
			return -ERANGE;
		v <<= shift;
		rest += rest[1] == 'i' && (rest[2] | 0x20) == 'b' ? 2 : 1;
	}
	if ((*rest | 0x20) == 'b')
		rest++;
	if (*rest != '\0')
		return -EINVAL;
	*ret_v = (int64_t)v;
	return 0;
}
