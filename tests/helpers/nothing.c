/* SPDX-License-Identifier: Apache-2.0 */
/* The static /bin/true of the cost test: nothing but its own start and end. */
int main(void)
{
	return 0;
}
