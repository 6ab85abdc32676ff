/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/utf8.h"

#include <stdint.h>
#include <string.h>

#include "runtime/base/str.h"

/* What may follow a first byte: the length, and the range of the second byte. Later ones are 80…BF. */
struct lead {
	unsigned char first, last;
	unsigned char len;
	unsigned char second_min, second_max;
};

static const struct lead leads[] = {
	{ 0xc2, 0xdf, 2, 0x80, 0xbf },
	{ 0xe0, 0xe0, 3, 0xa0, 0xbf },	/* below: overlong */
	{ 0xe1, 0xec, 3, 0x80, 0xbf },
	{ 0xed, 0xed, 3, 0x80, 0x9f },	/* above: surrogates */
	{ 0xee, 0xef, 3, 0x80, 0xbf },
	{ 0xf0, 0xf0, 4, 0x90, 0xbf },	/* below: overlong */
	{ 0xf1, 0xf3, 4, 0x80, 0xbf },
	{ 0xf4, 0xf4, 4, 0x80, 0x8f },	/* above: past U+10FFFF */
};

size_t utf8_char(const char *s, size_t n)
{
	const unsigned char *u = (const unsigned char *)s;

	if (u[0] < 0x80)
		return 1;
	for (size_t i = 0; i < ARRAY_SIZE(leads); i++) {
		const struct lead *l = &leads[i];

		if (u[0] < l->first || u[0] > l->last)
			continue;
		if (n < l->len || u[1] < l->second_min || u[1] > l->second_max)
			return 0;
		for (size_t k = 2; k < l->len; k++)
			if ((u[k] & 0xc0) != 0x80)
				return 0;
		return l->len;
	}
	return 0;
}

size_t utf8_valid(const char *s, size_t len)
{
	size_t i = 0;

	while (i < len) {
		uint64_t word;
		size_t n;

		/* Nearly every config.json is ASCII throughout: eight bytes at a time. */
		if (len - i >= sizeof(word)) {
			memcpy(&word, s + i, sizeof(word));
			if ((word & UINT64_C(0x8080808080808080)) == 0) {
				i += sizeof(word);
				continue;
			}
		}
		n = utf8_char(s + i, len - i);
		if (n == 0)
			return i;
		i += n;
	}
	return len;
}
