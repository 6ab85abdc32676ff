/* SPDX-License-Identifier: Apache-2.0 */
/* See mount_options.h. One table says what each word does. */
#include "namespaces/mount_options.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/mount.h>

#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/str.h"

enum effect { SET, CLEAR, RSET, RCLEAR, PROPAGATION, SB_SET, SB_CLEAR, BIND, RBIND, REMOUNT, IDMAP, COPY_UP, FLAG, NOTHING,
	      IMPOSSIBLE };

/* A time mode replaces the whole field, so setting one first clears the mask. */
#define ATIME MOUNT_ATTR__ATIME

static const struct option {
	const char *word;
	enum effect effect;
	uint64_t bits;
} options[] = {
	{ "async", SB_CLEAR, MOUNT_SB_SYNC },
	{ "atime", CLEAR, ATIME },
	{ "bind", BIND, 0 },
	{ "copy-symlink", FLAG, offsetof(struct mount_req, copy_symlink) },
	{ "defaults", NOTHING, 0 },
	{ "dest-nofollow", FLAG, offsetof(struct mount_req, dest_nofollow) },
	{ "dev", CLEAR, MOUNT_ATTR_NODEV },
	{ "diratime", CLEAR, MOUNT_ATTR_NODIRATIME },
	{ "dirsync", SB_SET, MOUNT_SB_DIRSYNC },
	{ "exec", CLEAR, MOUNT_ATTR_NOEXEC },
	{ "idmap", IDMAP, MOUNT_IDMAP_TOP },
	{ "iversion", SB_SET, MOUNT_SB_IVERSION },
	{ "lazytime", SB_SET, MOUNT_SB_LAZYTIME },
	{ "loud", SB_CLEAR, MOUNT_SB_SILENT },
	{ "mand", SB_SET, MOUNT_SB_MAND },
	{ "noatime", SET, MOUNT_ATTR_NOATIME },
	{ "nodev", SET, MOUNT_ATTR_NODEV },
	{ "nodiratime", SET, MOUNT_ATTR_NODIRATIME },
	{ "noexec", SET, MOUNT_ATTR_NOEXEC },
	{ "noiversion", SB_CLEAR, MOUNT_SB_IVERSION },
	{ "nolazytime", SB_CLEAR, MOUNT_SB_LAZYTIME },
	{ "nomand", SB_CLEAR, MOUNT_SB_MAND },
	{ "norelatime", NOTHING, 0 },	/* relatime is what is left when no other time mode is asked for */
	{ "nostrictatime", CLEAR, ATIME },
	{ "nosuid", SET, MOUNT_ATTR_NOSUID },
	{ "nosymfollow", SET, MOUNT_ATTR_NOSYMFOLLOW },
	{ "private", PROPAGATION, MS_PRIVATE },
	{ "ratime", RCLEAR, ATIME },
	{ "rbind", RBIND, 0 },
	{ "rdev", RCLEAR, MOUNT_ATTR_NODEV },
	{ "rdiratime", RCLEAR, MOUNT_ATTR_NODIRATIME },
	{ "relatime", CLEAR, ATIME },
	{ "remount", REMOUNT, 0 },
	{ "rexec", RCLEAR, MOUNT_ATTR_NOEXEC },
	{ "ridmap", IDMAP, MOUNT_IDMAP_TREE },
	{ "rnoatime", RSET, MOUNT_ATTR_NOATIME },
	{ "rnodev", RSET, MOUNT_ATTR_NODEV },
	{ "rnodiratime", RSET, MOUNT_ATTR_NODIRATIME },
	{ "rnoexec", RSET, MOUNT_ATTR_NOEXEC },
	{ "rnorelatime", NOTHING, 0 },
	{ "rnostrictatime", RCLEAR, ATIME },
	{ "rnosuid", RSET, MOUNT_ATTR_NOSUID },
	{ "rnosymfollow", RSET, MOUNT_ATTR_NOSYMFOLLOW },
	{ "ro", SET, MOUNT_ATTR_RDONLY },
	{ "rprivate", PROPAGATION, MS_PRIVATE | MS_REC },
	{ "rrelatime", RCLEAR, ATIME },
	{ "rro", RSET, MOUNT_ATTR_RDONLY },
	{ "rrw", RCLEAR, MOUNT_ATTR_RDONLY },
	{ "rshared", PROPAGATION, MS_SHARED | MS_REC },
	{ "rslave", PROPAGATION, MS_SLAVE | MS_REC },
	{ "rstrictatime", RSET, MOUNT_ATTR_STRICTATIME },
	{ "rsuid", RCLEAR, MOUNT_ATTR_NOSUID },
	{ "rsymfollow", RCLEAR, MOUNT_ATTR_NOSYMFOLLOW },
	{ "runbindable", PROPAGATION, MS_UNBINDABLE | MS_REC },
	{ "rw", CLEAR, MOUNT_ATTR_RDONLY },
	{ "shared", PROPAGATION, MS_SHARED },
	{ "silent", SB_SET, MOUNT_SB_SILENT },
	{ "slave", PROPAGATION, MS_SLAVE },
	{ "src-nofollow", FLAG, offsetof(struct mount_req, src_nofollow) },
	{ "strictatime", SET, MOUNT_ATTR_STRICTATIME },
	{ "suid", CLEAR, MOUNT_ATTR_NOSUID },
	{ "symfollow", CLEAR, MOUNT_ATTR_NOSYMFOLLOW },
	{ "sync", SB_SET, MOUNT_SB_SYNC },
	{ "tmpcopyup", COPY_UP, 0 },
	{ "unbindable", PROPAGATION, MS_UNBINDABLE },
	/* crun's. They are of the whole file system, not of a mount: there is nothing to recurse into (mount_setattr(2)). */
	{ "rasync", IMPOSSIBLE, 0 },
	{ "rdirsync", IMPOSSIBLE, 0 },
	{ "rmand", IMPOSSIBLE, 0 },
	{ "rnomand", IMPOSSIBLE, 0 },
	{ "rsync", IMPOSSIBLE, 0 },
};

const char *mount_option_name(size_t i)
{
	for (size_t k = 0; k < ARRAY_SIZE(options); k++)
		if (options[k].effect != IMPOSSIBLE && i-- == 0)
			return options[k].word;
	return NULL;
}

unsigned long mount_propagation_flag(const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (options[i].effect == PROPAGATION && str_eq(options[i].word, word))
			return (unsigned long)options[i].bits;
	return 0;
}

const char *mount_propagation_word(unsigned long flag)
{
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (options[i].effect == PROPAGATION && options[i].bits == flag)
			return options[i].word;
	return "?";
}

static const struct option *find(const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (str_eq(options[i].word, word))
			return &options[i];
	return NULL;
}

static void set_attr(uint64_t *set, uint64_t *clr, uint64_t bits)
{
	if (bits & ATIME) {
		*set &= ~(uint64_t)ATIME;
		*clr |= ATIME;	/* mount_setattr(2) wants the mask cleared when a mode is set */
	} else {
		*clr &= ~bits;
	}
	*set |= bits;
}

static void clear_attr(uint64_t *set, uint64_t *clr, uint64_t bits)
{
	*set &= ~bits;
	*clr |= bits;
}

/* What was said of the mount alone before is said of the tree now. */
static void forget(struct mount_req *m, uint64_t bits)
{
	m->attr_set &= ~bits;
	m->attr_clr &= ~bits;
}

static uint64_t field(uint64_t bits)
{
	return bits & ATIME ? ATIME : bits;
}

void mount_options_fold(struct mount_req *m)
{
	uint64_t own = m->attr_set | m->attr_clr;

	m->attr_set |= m->rattr_set & ~own;
	m->attr_clr |= m->rattr_clr & ~own;
	m->rattr_set = m->rattr_clr = 0;
}

static int apply(struct mount_req *m, const struct option *o)
{
	switch (o->effect) {
	case SET:
		set_attr(&m->attr_set, &m->attr_clr, o->bits);
		break;
	case CLEAR:
		clear_attr(&m->attr_set, &m->attr_clr, o->bits);
		break;
	case RSET:
		forget(m, field(o->bits));
		set_attr(&m->rattr_set, &m->rattr_clr, o->bits);
		break;
	case RCLEAR:
		forget(m, field(o->bits));
		clear_attr(&m->rattr_set, &m->rattr_clr, o->bits);
		break;
	case PROPAGATION:
		if (m->n_propagation == ARRAY_SIZE(m->propagation))
			return ERR_PLAIN(-EINVAL, "mount at \"%s\": more than %zu propagation options", m->target,
					 ARRAY_SIZE(m->propagation));
		m->propagation[m->n_propagation++] = o->bits;
		break;
	case SB_SET:
		m->sb_set |= (uint32_t)o->bits;
		m->sb_clr &= ~(uint32_t)o->bits;
		break;
	case SB_CLEAR:
		m->sb_clr |= (uint32_t)o->bits;
		m->sb_set &= ~(uint32_t)o->bits;
		break;
	case BIND:
		m->bind = true;
		break;
	case RBIND:
		m->bind = m->recursive = true;
		break;
	case REMOUNT:
		m->remount = true;
		break;
	case IDMAP:
		m->idmap = (enum mount_idmap)o->bits;
		m->idmap_text = NULL;
		break;
	case COPY_UP:
		m->copy_up = true;
		break;
	case FLAG:
		*(bool *)((char *)m + o->bits) = true;
		break;
	case NOTHING:
		break;
	case IMPOSSIBLE:
		return ERR_PLAIN(-ENOTSUP, "mount at \"%s\": %s: Linux has this of whole file systems only; \"%s\" is an option of theirs",
				 m->target, o->word, o->word + 1);
	}
	return 0;
}

int mount_options_parse(struct arena *a, const char *const *words, size_t n, struct mount_req *m)
{
	m->data = arena_array(a, n, sizeof(*m->data));
	if (m->data == NULL)
		return ERR_NOMEM();
	for (size_t i = 0; i < n; i++) {
		const struct option *o = find(words[i]);
		int r;

		if (o == NULL && (str_starts(words[i], "idmap=") || str_starts(words[i], "ridmap="))) {
			m->idmap = words[i][0] == 'r' ? MOUNT_IDMAP_TREE : MOUNT_IDMAP_TOP;
			m->idmap_text = strchr(words[i], '=') + 1;
			continue;
		}
		if (o == NULL) {
			m->data[m->n_data++] = words[i];
			continue;
		}
		r = apply(m, o);
		if (r < 0)
			return r;
	}
	return 0;
}

const char *mount_attr_text(struct arena *a, const struct mount_req *m)
{
	_cleanup_buf_ struct buf b = BUF_NULL;

	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		const struct option *o = &options[i];
		bool on = (o->effect == SET && (m->attr_set & o->bits) == o->bits) ||
			  (o->effect == RSET && (m->rattr_set & o->bits) == o->bits) ||
			  (o->effect == SB_SET && (m->sb_set & o->bits)) ||
			  (o->effect == COPY_UP && m->copy_up) || (o->effect == FLAG && *(const bool *)((const char *)m + o->bits)) || (o->effect == IDMAP && m->idmap == (enum mount_idmap)o->bits);

		if (on)
			buf_printf(&b, "%s%s", b.len > 0 ? "," : "", o->word);
	}
	for (size_t i = 0; i < m->n_propagation; i++)
		buf_printf(&b, "%s%s", b.len > 0 ? "," : "", mount_propagation_word((unsigned long)m->propagation[i]));
	for (size_t i = 0; i < m->n_data; i++)
		buf_printf(&b, "%s%s", b.len > 0 ? "," : "", m->data[i]);
	buf_puts(&b, "");
	return b.failed ? "" : arena_strdup(a, b.data);
}
