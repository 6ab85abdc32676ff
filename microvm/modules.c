/* SPDX-License-Identifier: Apache-2.0 */
/*
 * modules.dep has a line "PATH: PATH..." for each module, what it needs behind the colon. depmod writes there what those
 * need, too, but its order is its own affair: here every module's own line is asked, depth first.
 */
#include "microvm/modules.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/err.h"
#include "runtime/base/str.h"

/* A piece of one of the texts. */
struct span {
	const char *s;
	size_t len;
};

enum visit { NOT_SEEN, IN_PROGRESS, DONE };

struct module {
	struct span name;	/* of its file, with '-' and '_' as they are there */
	struct span path, needs;
	bool builtin;
	enum visit visit;
};

/* Every module of both texts, sorted by name. */
struct table {
	struct module *modules;
	size_t n;
};

static void table_deinit(struct table *t)
{
	free(t->modules);
}

/* ---- names and lines ---- */

/* The name in a path; of length 0 when it has none. */
static struct span name_of(struct span path)
{
	static const char *const suffixes[] = { ".ko", ".ko.xz", ".ko.zst", ".ko.gz" };
	const char *slash = path.len > 0 ? memrchr(path.s, '/', path.len) : NULL;
	struct span name = path;

	if (slash != NULL) {
		name.len -= (size_t)(slash + 1 - path.s);
		name.s = slash + 1;
	}
	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		size_t len = strlen(suffixes[i]);

		if (name.len > len && memcmp(name.s + name.len - len, suffixes[i], len) == 0) {
			name.len -= len;
			return name;
		}
	}
	return (struct span){ name.s, 0 };
}

static int letter(char c)
{
	return c == '-' ? '_' : (unsigned char)c;
}

static int compare_names(struct span a, struct span b)
{
	for (size_t i = 0; i < a.len && i < b.len; i++)
		if (letter(a.s[i]) != letter(b.s[i]))
			return letter(a.s[i]) - letter(b.s[i]);
	return a.len < b.len ? -1 : a.len > b.len;
}

/* By name; a file before what is built in, and earlier text before later, so that the answer is always the same. */
static int compare_modules(const void *a, const void *b)
{
	const struct module *x = a, *y = b;
	int order = compare_names(x->name, y->name);

	if (order != 0)
		return order;
	if (x->builtin != y->builtin)
		return x->builtin ? 1 : -1;
	return x->path.s < y->path.s ? -1 : x->path.s > y->path.s;
}

/* Takes the next line off text, without its end. False when there is none. */
static bool next_line(struct span *text, struct span *ret_line)
{
	const char *end;

	if (text->len == 0)
		return false;
	end = memchr(text->s, '\n', text->len);
	*ret_line = (struct span){ text->s, end != NULL ? (size_t)(end - text->s) : text->len };
	text->s += ret_line->len + (end != NULL ? 1 : 0);
	text->len -= ret_line->len + (end != NULL ? 1 : 0);
	return true;
}

/* The same for words between spaces. */
static bool next_word(struct span *line, struct span *ret_word)
{
	size_t len = 0;

	while (line->len > 0 && line->s[0] == ' ') {
		line->s++;
		line->len--;
	}
	while (len < line->len && line->s[len] != ' ')
		len++;
	*ret_word = (struct span){ line->s, len };
	line->s += len;
	line->len -= len;
	return len > 0;
}

/* ---- the table ---- */

static int parse_line(struct span line, bool builtin, struct module *ret_module)
{
	const char *colon = builtin ? NULL : memchr(line.s, ':', line.len);
	struct module m = { .builtin = builtin, .path = line };

	if (colon != NULL) {
		m.path.len = (size_t)(colon - line.s);
		m.needs = (struct span){ colon + 1, line.len - m.path.len - 1 };
	}
	m.name = name_of(m.path);
	if (m.name.len == 0 || m.name.len > MODULES_NAME_MAX || (colon == NULL && !builtin) || memchr(line.s, '\0', line.len) != NULL)
		return ERR_PLAIN(-EINVAL, "%s has a line that names no module: \"%.*s\"", builtin ? "modules.builtin" : "modules.dep",
				 line.len < 80 ? (int)line.len : 80, line.s);
	*ret_module = m;
	return 0;
}

static size_t count_lines(struct span text)
{
	struct span line;
	size_t n = 0;

	while (next_line(&text, &line))
		n++;
	return n;
}

static int add_lines(struct table *t, struct span text, bool builtin)
{
	struct span line;
	int r;

	while (next_line(&text, &line)) {
		if (line.len == 0)
			continue;
		r = parse_line(line, builtin, &t->modules[t->n]);
		if (r < 0)
			return r;
		t->n++;
	}
	return 0;
}

static int read_index(const struct modules_index *index, struct table *t)
{
	struct span dep = { index->dep, index->dep_size }, builtin = { index->builtin, index->builtin_size };
	int r;

	if (dep.len > MODULES_TEXT_MAX || builtin.len > MODULES_TEXT_MAX)
		return ERR_PLAIN(-E2BIG, "modules.dep or modules.builtin is larger than %u MiB", MODULES_TEXT_MAX >> 20);
	t->modules = calloc(count_lines(dep) + count_lines(builtin) + 1, sizeof(*t->modules));
	if (t->modules == NULL)
		return ERR_NOMEM();
	r = add_lines(t, dep, false);
	if (r == 0)
		r = add_lines(t, builtin, true);
	if (r < 0)
		return r;
	qsort(t->modules, t->n, sizeof(*t->modules), compare_modules);
	return 0;
}

/* The first of that name; NULL when there is none. */
static struct module *find(const struct table *t, struct span name)
{
	size_t low = 0, high = t->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare_names(t->modules[middle].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < t->n && compare_names(t->modules[low].name, name) == 0 ? &t->modules[low] : NULL;
}

/* ---- the order ---- */

static int add_file(struct module_files *files, struct span path)
{
	char **paths;

	if (files->n == MODULES_FILES_MAX)
		return ERR_PLAIN(-E2BIG, "more than %d modules are needed", MODULES_FILES_MAX);
	paths = reallocarray(files->paths, files->n + 1, sizeof(*paths));
	if (paths == NULL)
		return ERR_NOMEM();
	files->paths = paths;
	paths[files->n] = strndup(path.s, path.len);
	if (paths[files->n] == NULL)
		return ERR_NOMEM();
	files->n++;
	return 0;
}

/* A module whose needs are being gone through. */
struct level {
	struct module *module;
	struct span rest;
};

static int enter(struct level *levels, size_t *depth, struct module *m)
{
	if (*depth == MODULES_DEPTH_MAX)
		return ERR_PLAIN(-ELOOP, "modules need others, which need others, more than %d deep; the last is \"%.*s\"", MODULES_DEPTH_MAX,
				 (int)m->name.len, m->name.s);
	m->visit = IN_PROGRESS;
	levels[(*depth)++] = (struct level){ m, m->needs };
	return 0;
}

/* One word of what m needs: the module of that name, NULL when there is nothing to do for it. */
static int needed(const struct table *t, const struct module *m, struct span word, struct module **ret_module)
{
	struct module *other = find(t, name_of(word));

	if (other == NULL)
		return ERR_PLAIN(-ENOENT, "the module \"%.*s\" needs \"%.*s\", which modules.dep does not have", (int)m->name.len, m->name.s,
				 word.len < 256 ? (int)word.len : 256, word.s);
	if (other->visit == IN_PROGRESS)
		return ERR_PLAIN(-ELOOP, "the modules \"%.*s\" and \"%.*s\" need each other", (int)m->name.len, m->name.s,
				 (int)other->name.len, other->name.s);
	*ret_module = other->visit == DONE || other->builtin ? NULL : other;
	return 0;
}

/* Adds m and what it needs, the deepest first. A stack of its own: the text decides how deep. */
static int add_with_needs(const struct table *t, struct module *m, struct module_files *files)
{
	struct level levels[MODULES_DEPTH_MAX];
	size_t depth = 0;
	int r = enter(levels, &depth, m);

	while (r == 0 && depth > 0) {
		struct level *l = &levels[depth - 1];
		struct module *other = NULL;
		struct span word;

		if (next_word(&l->rest, &word)) {
			r = needed(t, l->module, word, &other);
			if (r == 0 && other != NULL)
				r = enter(levels, &depth, other);
			continue;
		}
		r = add_file(files, l->module->path);
		l->module->visit = DONE;
		depth--;
	}
	return r;
}

static int add_wanted(const struct table *t, const char *name, struct module_files *files)
{
	struct module *m = find(t, (struct span){ name, strlen(name) });

	if (m == NULL)
		return ERR_PLAIN(-ENOENT, "the kernel has no module \"%s\", and it is not built in", name);
	return m->builtin || m->visit == DONE ? 0 : add_with_needs(t, m, files);
}

int modules_resolve(const struct modules_index *index, const char *const *wanted, size_t n, struct module_files *ret_files)
{
	__attribute__((cleanup(table_deinit))) struct table t = { 0 };
	_cleanup_module_files_ struct module_files files = { 0 };
	int r = read_index(index, &t);

	for (size_t i = 0; r == 0 && i < n; i++)
		r = add_wanted(&t, wanted[i], &files);
	if (r < 0)
		return r;
	*ret_files = files;
	files = (struct module_files){ 0 };
	return 0;
}

void module_files_deinit(struct module_files *files)
{
	for (size_t i = 0; i < files->n; i++)
		free(files->paths[i]);
	free(files->paths);
	*files = (struct module_files){ 0 };
}
