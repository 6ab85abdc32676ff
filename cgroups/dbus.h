/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A conversation with systemd's manager by D-Bus: calls, and the one signal that is waited for. Private to this
 * folder.
 *
 * First its private socket: no bus daemon, so no queue of others, no Hello, and it works before a bus is there. Else
 * by the system's or the user's bus. There anyone may send us signals and answers, so only those of the owner
 * of org.freedesktop.systemd1 count; all others are passed over.
 */
#pragma once

#include <stdbool.h>

#include "cgroups/dbus_message.h"

#define DBUS_SYSTEMD_NAME "org.freedesktop.systemd1"
#define DBUS_SYSTEMD_PATH "/org/freedesktop/systemd1"
#define DBUS_SYSTEMD_MANAGER "org.freedesktop.systemd1.Manager"

struct dbus;

/* A message that came; the strings in it live as long. */
struct dbus_message;
/* Its header, and a reader at the beginning of its body. */
const struct dbus_header *dbus_message_header(const struct dbus_message *m);
struct dbus_reader dbus_message_body(const struct dbus_message *m);
/* Is it the error of this name? */
bool dbus_message_is_error(const struct dbus_message *m, const char *name);
/* What an error says, or its name if it says nothing. */
const char *dbus_message_error_text(const struct dbus_message *m);
void dbus_message_freep(struct dbus_message **m);
#define _cleanup_dbus_message_ __attribute__((cleanup(dbus_message_freep)))

/*
 * user: the user's systemd. signal: the manager's signal that will be waited for; NULL: none. All that
 * is done with *ret has to be done in timeout_ms. -ENOENT, -ECONNREFUSED: no systemd there, with a hint; -EACCES.
 */
int dbus_open(bool user, const char *signal, int timeout_ms, struct dbus **ret);
void dbus_close(struct dbus *d);
void dbus_closep(struct dbus **d);
#define _cleanup_dbus_ __attribute__((cleanup(dbus_closep)))

/*
 * Calls a method of systemd: h has path, interface, member and signature (of body, which is NULL without one). An
 * error that systemd answers with is no failure of this: *ret is DBUS_RETURN or DBUS_ERROR. -ETIMEDOUT, -ECONNRESET, …
 */
int dbus_call(struct dbus *d, const struct dbus_header *h, const struct buf *body, struct dbus_message **ret);

/* The next of the signals; those that came during a call come first. */
int dbus_next_signal(struct dbus *d, struct dbus_message **ret);

/*
 * The socket that a list of D-Bus addresses leads to first ("unix:path=/a;unix:abstract=b"), as for connect(2): a
 * leading NUL is an abstract one. -EINVAL: no unix socket in it, or too long. No text. Pure, for tests.
 */
int dbus_address_parse(const char *address, char *path, size_t size, size_t *ret_len);
