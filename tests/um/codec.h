/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The file CODEC_FILE of codec.c: write() takes the pages, once and in any number of
 * pieces; then each ioctl() compresses and decompresses all of them.
 */
#ifndef UM_CODEC_H
#define UM_CODEC_H

#define CODEC_FILE	"/sys/kernel/debug/codec"

/* The argument is two 64-bit numbers: the nanoseconds for all pages out, and in. */
#define CODEC_LZ4	_IOR('g', 0, __u64[2])
#define CODEC_ZSTD	_IOR('g', 1, __u64[2])

#endif
