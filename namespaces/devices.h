/* SPDX-License-Identifier: Apache-2.0 */
/* /dev of a container: default devices and links, linux.devices, the console. runtime-spec config-linux "Devices". */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct device_req {
	const char *path;	/* inside the root file system */
	mode_t type;		/* S_IFCHR, S_IFBLK, S_IFIFO */
	unsigned int major, minor;
	mode_t mode;
	uid_t uid;
	gid_t gid;
};

/* null zero full random urandom tty; entry i, NULL past the end. */
const struct device_req *device_default(size_t i);

/*
 * Makes one device node. EPERM (a user namespace may not mknod) or a plain file of a
 * default device's name: the host's device of the same path, checked to be this one, is bound over.
 * Something else there already is -EEXIST for a configured device.
 */
int device_make(int root, const struct device_req *d, bool is_default);

/* /dev/fd stdin stdout stderr core, ptmx -> pts/ptmx. */
int device_links(int root);

/*
 * Opens a new terminal in the container's own devpts: the ptmx by fd below root, checked
 * to be devpts's, the slave by TIOCGPTPEER (never by its name: CVE-2025-52565).
 */
int console_open(int root, int *ret_ptm, int *ret_pts);
/* Binds the slave over /dev/console. */
int console_bind(int root, int pts);
int console_resize(int ptm, uint16_t height, uint16_t width);
