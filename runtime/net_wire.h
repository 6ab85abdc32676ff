/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct net_config as JSON, in the description that a microVM's guest gets:
 *
 *	{ "interfaces": [ { "name": "eth0", "mac": "02:00:00:00:00:01", "mtu": 1500,
 *	                    "ipv6": true, "linkLocal": false, "autoconf": false, "acceptRa": 0 } ],
 *	  "addresses": [ { "interface": "eth0", "address": "10.88.0.5/16", "broadcast": "10.88.255.255" } ],
 *	  "routes": [ { "destination": "0.0.0.0/0", "protocol": 3, "scope": 0,
 *	                "hops": [ { "interface": "eth0", "gateway": "10.88.0.1" } ] } ],
 *	  "neighbours": [ { "interface": "eth0", "address": "10.88.0.1", "mac": "02:00:00:00:00:02" } ] }
 *
 * All four lists are there, empty ones, too. What is 0, false or absent in the struct is left out,
 * but for the properties of an interface and a route's protocol and scope.
 */
#pragma once

struct arena;
struct json;
struct json_writer;
struct net_config;

/* Writes the object. */
void net_wire_write(struct json_writer *w, const struct net_config *c);

/*
 * The object j, of the document `name` (for error texts), into *ret. Strict: an unknown property, a
 * name that no interface has, a number out of range, more than net_config.h's bounds are errors. -EINVAL,
 * -ENOTSUP (two interfaces with one name or MAC), -ENOMEM, with a text. Texts are made in a.
 */
int net_wire_read(struct arena *a, const char *name, const struct json *j, struct net_config *ret);
