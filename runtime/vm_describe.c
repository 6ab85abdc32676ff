/* SPDX-License-Identifier: Apache-2.0 */
/* See vm_describe.h. */
#include "runtime/vm_describe.h"

#include <errno.h>
#include <linux/mount.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/utsname.h>
#include <time.h>

#include "microvm/machine.h"
#include "namespaces/net_config.h"
#include "oci/json.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"
#include "runtime/net_wire.h"
#include "runtime/plan.h"
#include "runtime/vm_supervisor.h"

/* Of the seed for the guest's random numbers, which start anew with each machine. */
#define SEED_BYTES 64

/* The first disk's name with every kernel that has no other. */
#define VM_IMAGE_DEVICE "/dev/vda"

static int write_bytes(struct json_writer *w, const char *key, const void *bytes, size_t n)
{
	_cleanup_free_ char *text = malloc(2 * n + 1);
	const uint8_t *v = bytes;

	if (text == NULL)
		return ERR_NOMEM();
	for (size_t i = 0; i < n; i++)
		snprintf(text + 2 * i, 3, "%02x", v[i]);
	json_kv_string(w, key, text);
	return 0;
}

static int write_entropy(struct json_writer *w)
{
	uint8_t seed[SEED_BYTES];

	if (getrandom(seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
		return ERR(-errno, "cannot get random numbers");
	return write_bytes(w, "entropy", seed, sizeof(seed));
}

static void write_time(struct json_writer *w)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	json_key(w, "time");
	json_object_open(w);
	json_kv_uint(w, "seconds", (uint64_t)t.tv_sec);
	json_kv_uint(w, "nanoseconds", (uint64_t)t.tv_nsec);
	json_object_close(w);
}

static void write_flags(struct json_writer *w, uint64_t attrs)
{
	static const struct {
		uint64_t attr;
		const char *word;
	} words[] = {
		{ MOUNT_ATTR_RDONLY, "ro" },		{ MOUNT_ATTR_NOSUID, "nosuid" },
		{ MOUNT_ATTR_NODEV, "nodev" },		{ MOUNT_ATTR_NOEXEC, "noexec" },
		{ MOUNT_ATTR_NOATIME, "noatime" },	{ MOUNT_ATTR_NODIRATIME, "nodiratime" },
		{ MOUNT_ATTR_STRICTATIME, "strictatime" }, { MOUNT_ATTR_NOSYMFOLLOW, "nosymfollow" },
	};

	json_key(w, "flags");
	json_array_open(w);
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (attrs & words[i].attr)
			json_string(w, words[i].word);
	json_array_close(w);
}

static void write_mounts(struct json_writer *w, const struct share_req *s)
{
	json_key(w, "mounts");
	json_array_open(w);
	for (size_t i = 0; i < s->n_entries; i++) {
		json_object_open(w);
		json_kv_uint(w, "index", s->entries[i].index);
		write_flags(w, s->entries[i].attrs);
		json_object_close(w);
	}
	json_array_close(w);
}

static void write_root(struct json_writer *w, const struct vm_start *s)
{
	if (s->image == NULL) {
		json_kv_string(w, "rootfs", "/rootfs");
		return;
	}
	json_key(w, "image");
	json_object_open(w);
	json_kv_string(w, "device", VM_IMAGE_DEVICE);
	json_kv_string(w, "type", s->image);
	json_kv_bool(w, "readOnly", s->machine.disks[0].read_only);
	json_object_close(w);
}

int vm_describe(const struct vm_start *s, const struct net_config *n, char **ret_text, size_t *ret_len)
{
	const struct plan *p = s->plan;
	_cleanup_json_writer_ struct json_writer *w = json_writer_new(false);
	struct utsname host;
	int r;

	if (uname(&host) < 0)
		return ERR(-errno, "cannot read the host's name");
	json_object_open(w);
	json_kv_string(w, "id", p->id);
	json_kv_string(w, "bundle", p->bundle);
	json_kv_string(w, "hostname", s->hostname != NULL ? s->hostname : host.nodename);
	write_time(w);
	r = write_entropy(w);
	json_kv_string(w, "share", MACHINE_FS_TAG);
	write_root(w, s);
	write_mounts(w, &s->share);
	json_kv_bool(w, "idsMapped", p->vm.user_ns);
	if (r == 0 && s->apparmor != NULL)
		r = write_bytes(w, "apparmor", s->apparmor, s->apparmor_size);
	if (n->n_interfaces > 0) {
		json_key(w, "network");
		net_wire_write(w, n);
	}
	json_object_close(w);
	if (r < 0)
		return r;
	*ret_text = json_writer_take(w, ret_len);
	return *ret_text == NULL ? ERR_NOMEM() : 0;
}
