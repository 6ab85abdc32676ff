/* SPDX-License-Identifier: Apache-2.0 */
/* namespaces/mount_options: words to attributes, the last of opposite words winning. */
#include <errno.h>
#include <sys/mount.h>

#include "namespaces/mount_options.h"
#include "namespaces/userns.h"
#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/str.h"
#include "tests/unit/test.h"

static int parse(struct arena *a, const char *text, struct mount_req *m)
{
	const char *words[16];
	size_t n = 0;
	char *copy = arena_strdup(a, text), *save = NULL;

	*m = (struct mount_req){ .target = "/t" };
	for (char *w = strtok_r(copy, ",", &save); w != NULL; w = strtok_r(NULL, ",", &save))
		words[n++] = w;
	return mount_options_parse(a, words, n, m);
}

TEST(attributes)
{
	static const struct {
		const char *words;
		uint64_t set, clr, rset, rclr;
	} cases[] = {
		{ "ro", MOUNT_ATTR_RDONLY, 0, 0, 0 },
		{ "ro,rw", 0, MOUNT_ATTR_RDONLY, 0, 0 },
		{ "rw,ro", MOUNT_ATTR_RDONLY, 0, 0, 0 },
		{ "nosuid,nodev,noexec", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, 0, 0, 0 },
		{ "noexec,exec", 0, MOUNT_ATTR_NOEXEC, 0, 0 },
		{ "noatime", MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME, 0, 0 },
		{ "noatime,strictatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME, 0, 0 },
		{ "noatime,relatime", 0, MOUNT_ATTR__ATIME, 0, 0 },
		{ "nodiratime", MOUNT_ATTR_NODIRATIME, 0, 0, 0 },
		{ "nosymfollow", MOUNT_ATTR_NOSYMFOLLOW, 0, 0, 0 },
		{ "rro", 0, 0, MOUNT_ATTR_RDONLY, 0 },
		{ "rro,rrw", 0, 0, 0, MOUNT_ATTR_RDONLY },
		{ "ro,rrw", 0, 0, 0, MOUNT_ATTR_RDONLY },
		{ "rrw,ro", MOUNT_ATTR_RDONLY, 0, 0, MOUNT_ATTR_RDONLY },
		{ "rro,rw", 0, MOUNT_ATTR_RDONLY, MOUNT_ATTR_RDONLY, 0 },
		{ "ro,nosuid,rro", MOUNT_ATTR_NOSUID, 0, MOUNT_ATTR_RDONLY, 0 },
		{ "strictatime,rnoatime", 0, 0, MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME },
		{ "rnoatime,relatime", 0, MOUNT_ATTR__ATIME, MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME },
		{ "rnoatime", 0, 0, MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME },
		{ "defaults,norelatime", 0, 0, 0, 0 },
	};
	struct arena *a = arena_new(0);
	struct mount_req m;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		bool ok = CHECK_INT(parse(a, cases[i].words, &m), 0);

		ok = CHECK_INT((int64_t)m.attr_set, (int64_t)cases[i].set) && ok;
		ok = CHECK_INT((int64_t)m.attr_clr, (int64_t)cases[i].clr) && ok;
		ok = CHECK_INT((int64_t)m.rattr_set, (int64_t)cases[i].rset) && ok;
		ok = CHECK_INT((int64_t)m.rattr_clr, (int64_t)cases[i].rclr) && ok;
		if (!ok)
			printf("#   words %s\n", cases[i].words);
	}
	arena_free(a);
}

TEST(kinds)
{
	struct arena *a = arena_new(0);
	struct mount_req m;

	CHECK_INT(parse(a, "bind", &m), 0);
	CHECK(m.bind && !m.recursive);
	CHECK_INT(parse(a, "rbind", &m), 0);
	CHECK(m.bind && m.recursive);
	CHECK_INT(parse(a, "remount,ro", &m), 0);
	CHECK(m.remount);
	CHECK_INT(parse(a, "sync,dirsync,lazytime,iversion", &m), 0);
	CHECK_INT(m.sb_set, MOUNT_SB_SYNC | MOUNT_SB_DIRSYNC | MOUNT_SB_LAZYTIME | MOUNT_SB_IVERSION);
	CHECK_INT(parse(a, "sync,async", &m), 0);
	CHECK_INT(m.sb_set, 0);
	CHECK_INT(m.sb_clr, MOUNT_SB_SYNC);
	CHECK_INT(parse(a, "silent", &m), 0);
	CHECK_INT(m.sb_set, MOUNT_SB_SILENT);
	CHECK_INT(parse(a, "silent,loud", &m), 0);
	CHECK_INT(m.sb_set, 0);
	CHECK_INT(parse(a, "rslave,shared", &m), 0);
	CHECK_INT((int64_t)m.n_propagation, 2);
	CHECK_INT((int64_t)m.propagation[0], MS_SLAVE | MS_REC);
	CHECK_INT((int64_t)m.propagation[1], MS_SHARED);
	arena_free(a);
}

TEST(idmap)
{
	struct arena *a = arena_new(0);
	struct mount_req m;

	CHECK_INT(parse(a, "rbind,ro", &m), 0);
	CHECK_INT(m.idmap, MOUNT_IDMAP_NONE);
	CHECK_INT(parse(a, "rbind,idmap,ro", &m), 0);
	CHECK_INT(m.idmap, MOUNT_IDMAP_TOP);
	CHECK_STR(mount_attr_text(a, &m), "idmap,ro");
	CHECK_INT(parse(a, "idmap,ridmap", &m), 0);
	CHECK_INT(m.idmap, MOUNT_IDMAP_TREE);
	CHECK_STR(mount_attr_text(a, &m), "ridmap");
	CHECK_INT(parse(a, "ridmap,idmap", &m), 0);
	CHECK_INT(m.idmap, MOUNT_IDMAP_TOP);
	CHECK_INT((int64_t)m.n_data, 0);
	arena_free(a);
}

TEST(unknown_words_are_data)
{
	struct arena *a = arena_new(0);
	struct mount_req m;

	CHECK_INT(parse(a, "mode=755,ro,newinstance,size=64k", &m), 0);
	CHECK_INT((int64_t)m.n_data, 3);
	CHECK_STR(m.data[0], "mode=755");
	CHECK_STR(m.data[1], "newinstance");
	CHECK_STR(m.data[2], "size=64k");
	CHECK_STR(mount_attr_text(a, &m), "ro,mode=755,newinstance,size=64k");
	arena_free(a);
}

TEST(words_of_file_systems_do_not_recurse)
{
	static const char *const words[] = { "rsync", "rasync", "rdirsync", "rmand", "rnomand" };
	struct arena *a = arena_new(0);
	struct mount_req m;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		CHECK_INT(parse(a, words[i], &m), -ENOTSUP);
		CHECK(strstr(err_text(), words[i]) != NULL);
	}
	CHECK_INT(parse(a, "private,private,private,private,private", &m), -EINVAL);
	arena_free(a);
}

TEST(words_about_symlinks)
{
	struct arena *a = arena_new(0);
	struct mount_req m;

	CHECK_INT(parse(a, "bind,src-nofollow", &m), 0);
	CHECK(m.src_nofollow && !m.dest_nofollow && !m.copy_symlink);
	CHECK_INT(parse(a, "bind,dest-nofollow,copy-symlink", &m), 0);
	CHECK(!m.src_nofollow && m.dest_nofollow && m.copy_symlink);
	CHECK_STR(mount_attr_text(a, &m), "copy-symlink,dest-nofollow");
	arena_free(a);
}

TEST(fold)
{
	struct arena *a = arena_new(0);
	struct mount_req m;

	CHECK_INT(parse(a, "rro,rnoexec,rw,rnoatime,strictatime", &m), 0);
	mount_options_fold(&m);
	CHECK_INT((int64_t)m.attr_set, MOUNT_ATTR_NOEXEC | MOUNT_ATTR_STRICTATIME);
	CHECK_INT((int64_t)m.attr_clr, MOUNT_ATTR_RDONLY | MOUNT_ATTR__ATIME);
	CHECK(m.rattr_set == 0 && m.rattr_clr == 0);
	arena_free(a);
}

TEST(idmap_text)
{
	static const struct userns_range ranges[] = { { 0, 100000, 10 }, { 10, 5000, 5 } };
	static const struct userns_req maps = { .uid = ranges, .n_uid = 2, .gid = ranges, .n_gid = 1 };
	static const char *const bad[] = {
		"", "uids=0-1-2", "gids=0-1-2", "uids=;gids=", "uids=0-1;gids=0-1-2", "uids=0-1-0;gids=0-1-2", "uids=0-1-2-3;gids=0-1-2",
		"uids=x-1-2;gids=0-1-2", "uids=0-1-4294967295;gids=0-1-2", "uids=0-1-2;gids=0-1-2;uids=0-1-2", "uids=0-1-2;gids=0-1-2;x=1",
		"uids=@0-15-1;gids=0-1-2", "uids=@0-9-2;gids=0-1-2", "uids=0-1-2;gids=@0-10-1", "uids=@@0-1-2;gids=0-1-2", "uids=-1-2-3;gids=0-1-2#1--2",
	};
	struct arena *a = arena_new(0);
	struct userns_req q;
	struct mount_req m;

	CHECK_INT(parse(a, "bind,idmap=uids=0-1-2;gids=0-1-2", &m), 0);
	CHECK(m.idmap == MOUNT_IDMAP_TOP && m.n_data == 0);
	CHECK_STR(m.idmap_text, "uids=0-1-2;gids=0-1-2");
	CHECK_INT(parse(a, "bind,ridmap=uids=0-1-2,idmap", &m), 0);
	CHECK(m.idmap == MOUNT_IDMAP_TOP && m.idmap_text == NULL);
	CHECK_INT(idmap_option_parse(a, "gids=7-8-9;uids=0-1000-10#10-2000-5", NULL, &q), 0);
	if (CHECK(q.n_uid == 2 && q.n_gid == 1)) {
		CHECK(q.uid[1].container_id == 10 && q.uid[1].host_id == 2000 && q.uid[1].size == 5);
		CHECK(q.gid[0].container_id == 7 && q.gid[0].host_id == 8 && q.gid[0].size == 9);
	}
	CHECK_INT(idmap_option_parse(a, "uids=@1-12-3;gids=@0-0-10", &maps, &q), 0);
	CHECK(q.uid[0].container_id == 1 && q.uid[0].host_id == 5002 && q.uid[0].size == 3);
	CHECK(q.gid[0].host_id == 100000);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (!CHECK_INT(idmap_option_parse(a, bad[i], &maps, &q), -EINVAL))
			printf("#   %s\n", bad[i]);
	arena_free(a);
}

TEST(every_name_is_understood)
{
	struct arena *a = arena_new(0);
	struct mount_req m;
	size_t n = 0;

	for (; mount_option_name(n) != NULL; n++) {
		CHECK_INT(parse(a, mount_option_name(n), &m), 0);
		if (!CHECK_INT((int64_t)m.n_data, 0))
			printf("#   %s\n", mount_option_name(n));
	}
	CHECK(n > 50);
	CHECK_INT((int64_t)mount_propagation_flag("rprivate"), MS_PRIVATE | MS_REC);
	CHECK_INT((int64_t)mount_propagation_flag("ro"), 0);
	CHECK_STR(mount_propagation_word(MS_SHARED | MS_REC), "rshared");
	arena_free(a);
}

TEST_MAIN(CASE(attributes), CASE(kinds), CASE(idmap), CASE(unknown_words_are_data), CASE(words_of_file_systems_do_not_recurse),
	  CASE(words_about_symlinks), CASE(fold), CASE(idmap_text), CASE(every_name_is_understood))
