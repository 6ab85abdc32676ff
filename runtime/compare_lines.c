/* SPDX-License-Identifier: Apache-2.0 */
/* The workload's lines, which a guest may have written as it likes. Pure. See compare.h. */
#include "runtime/compare.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>

#include "runtime/base/err.h"
#include "runtime/base/parse_int.h"
#include "runtime/base/str.h"

/* The longest line is a failure's. */
#define WORD_MAX 64

/* The next word of *at, cut off at a space; false: none, or too long. */
static bool next_word(const char **at, char word[WORD_MAX])
{
	size_t n = strcspn(*at, " ");

	if (n == 0 || n >= WORD_MAX)
		return false;
	memcpy(word, *at, n);
	word[n] = '\0';
	*at += n + ((*at)[n] == ' ' ? 1 : 0);
	return true;
}

static int unexpected(void)
{
	return ERR_PLAIN(-EPROTO, "the workload printed what it should not");
}

static int number(const char **at, uint64_t *ret)
{
	char word[WORD_MAX];

	return next_word(at, word) && parse_u64(word, 0, INT64_MAX, ret) == 0 ? 0 : unexpected();
}

static int clocks(const char *at, uint64_t *realtime, uint64_t *monotonic)
{
	int r = number(&at, realtime);

	if (r == 0)
		r = number(&at, monotonic);
	return r == 0 && *at != '\0' ? unexpected() : r;
}

static bool find_metric(const char *word, enum compare_metric *ret)
{
	for (int k = 0; k < COMPARE_METRICS; k++) {
		const char *w = compare_metric_info((enum compare_metric)k)->word;

		if (w != NULL && str_eq(w, word)) {
			*ret = (enum compare_metric)k;
			return true;
		}
	}
	return false;
}

static int failure(struct compare_lines *l, const char *at)
{
	char word[WORD_MAX];
	enum compare_metric m;
	size_t n = 0;

	if (!next_word(&at, word) || !find_metric(word, &m) || l->has[m])
		return unexpected();
	for (; *at != '\0' && n + 1 < sizeof(l->failed[m]); at++)
		if (isprint((unsigned char)*at))
			l->failed[m][n++] = *at;
	if (n == 0)
		snprintf(l->failed[m], sizeof(l->failed[m]), "failed");
	return 0;
}

int compare_line(struct compare_lines *l, const char *line)
{
	char word[WORD_MAX];
	const char *at = line;
	enum compare_metric m;

	if (!next_word(&at, word) || l->ended || str_ends(line, " "))
		return unexpected();
	if (str_eq(word, "begin") && !l->begun) {
		l->begun = true;
		return clocks(at, &l->begin_realtime, &l->begin_monotonic);
	}
	if (!l->begun)
		return unexpected();
	if (str_eq(word, "end")) {
		l->ended = true;
		return clocks(at, &l->end_realtime, &l->end_monotonic);
	}
	if (str_eq(word, "failed"))
		return failure(l, at);
	if (!find_metric(word, &m) || l->has[m] || l->failed[m][0] != '\0')
		return unexpected();
	l->has[m] = true;
	return number(&at, &l->value[m]) < 0 || *at != '\0' ? unexpected() : 0;
}
